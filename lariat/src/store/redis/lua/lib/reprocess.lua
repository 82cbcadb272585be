--- @include outcome
--- @include events
--- @include marker
--- @include priority
-- A finished job becomes ready again. `set` is the one it must be in, or empty for either.

-- Its parent waits for it again, as far as it had been told of this end.
local function wait_again(parent, job, set)
  local known
  if set == 'completed' then
    known = call('HDEL', parent .. ':processed', job) == 1
  else
    known = call('ZREM', parent .. ':unsuccessful', job) == 1 or call('HDEL', parent .. ':failed', job) == 1
  end
  if known then
    call('SADD', parent .. ':dependencies', job)
  end
end

-- An error before the first write, where what belongs to the parent is of another type.
local function check_parent(parent)
  call('SCARD', parent .. ':dependencies')
  call('HLEN', parent .. ':processed')
  call('HLEN', parent .. ':failed')
  call('ZCARD', parent .. ':unsuccessful')
end

local function reprocess(id, set, reset_made, reset_started)
  local job = base .. id
  check_queue()
  if set == '' then
    set = call('ZSCORE', base .. 'completed', id) and 'completed' or 'failed'
  end
  local record = call('HMGET', job, 'priority', 'opts', 'parentKey')
  local priority, parent = tonumber(record[1]) or 0, record[3]
  local parent_exists = parent and call('EXISTS', parent) == 1
  if parent_exists then
    check_parent(parent)
  end
  if call('ZREM', base .. set, id) == 0 then
    return -3
  end
  local stale = { 'finishedOn', 'processedOn', set == 'failed' and 'failedReason' or 'returnvalue' }
  stale[#stale + 1] = reset_made and 'atm' or nil
  stale[#stale + 1] = reset_started and 'ats' or nil
  call('HDEL', job, unpack(stale))
  if priority > 0 then
    prioritize({ id }, { priority })
  else
    local ok, opts = pcall(cjson.decode, record[2] or '')
    call(ok and type(opts) == 'table' and opts.lifo == true and 'RPUSH' or 'LPUSH', base .. 'wait', id)
  end
  if not paused_or_maxed() then
    wake()
  end
  if parent_exists then
    wait_again(parent, job, set)
  end
  emit_trimmed('waiting', 'jobId', id, 'prev', set)
  return 0
end
