--- @include outcome
--- @include events
--- @include marker
--- @include priority
-- A delayed job becomes ready before its time.
local function promote_one(id)
  local job = base .. id
  check_queue()
  if call('ZREM', base .. 'delayed', id) == 0 then
    return -3
  end
  local priority = tonumber(call('HGET', job, 'priority')) or 0
  if priority > 0 then
    prioritize({ id }, { priority })
  else
    call('LPUSH', base .. 'wait', id)
  end
  if not paused_or_maxed() then
    wake()
  end
  emit('waiting', 'jobId', id, 'prev', 'delayed')
  call('HSET', job, 'delay', '0')
  return 0
end
