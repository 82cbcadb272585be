--- @include held
--- @include events
--- @include finals
--- @include child_ended
--- @include release_id
-- Completed or failed for good. `item.value` is the result (JSON) or the reason, `item.rule` the retention, and, for a
-- failure, `item.more` the attempts allowed, a blank, and the stack traces.
local made_after = { ['1'] = '2', ['2'] = '3' }
local children_possible = true
local ended = { completed = 0, failed = 0 }

-- Most jobs have no children: one look for a whole call says so.
local function look_for_children(items)
  local keys = {}
  for i = 1, #items do
    local item = items[i]
    if item.kind == 'complete' then
      local n = #keys
      keys[n + 1], keys[n + 2] = item.key .. ':dependencies', item.key .. ':unsuccessful'
    end
  end
  children_possible = #keys > 0 and call('EXISTS', unpack(keys)) > 0
end

-- What the end means to others: the deduplication id is free, the parent is told. They may read what this call has only
-- noted so far, so that is written first; and they may be what a later outcome of this call is about.
local function touch_others(item, record, completed, now)
  write_let_go()
  write_finals()
  children_possible = true
  if record[4] then
    guarded(item.id, release_id, item.id, record[4], now)
  end
  if record[3] then
    guarded(item.id, child_ended, item.key, record[3], record[5], completed, item.value, now)
  end
end

local function write_end(item, set, field, made, now)
  if item.rule == '0' then
    removed[item.id] = true
    remove_records({ item.id })
  elseif field == 'returnvalue' then
    call('HSET', item.key, 'atm', made, field, item.value, 'finishedOn', now)
    add_final(set, item.id, item.rule, now)
  else
    local trace = string.match(item.more, ' (.*)$')
    call('HSET', item.key, 'atm', made, field, item.value, 'stacktrace', trace, 'finishedOn', now)
    call('HDEL', item.key, 'defa')
    add_final(set, item.id, item.rule, now)
  end
  emit(set, 'jobId', item.id, field, item.value, 'prev', 'active')
end

-- Lets the job go and writes how it ended; what it means to others comes after, when all lists are as they will be.
local function finish(item, now)
  local record = read_record(item, 'atm', 'parentKey', 'deid', 'parent')
  if not record then
    return -1
  end
  local completed = item.kind == 'complete'
  local set = completed and 'completed' or 'failed'
  if ended[set] == 0 then
    call('ZCARD', base .. set) -- of another type: refuse before the first write
  end
  if completed and children_possible then
    if call('SCARD', item.key .. ':dependencies') > 0 then
      return -4
    elseif call('ZCARD', item.key .. ':unsuccessful') > 0 then
      return -9
    end
  end
  local code = let_go(item)
  if code ~= 0 then
    return code
  end
  trim_with_next_event()
  if record[3] or record[4] then
    touch_others(item, record, completed, now)
  end
  local made = record[2]
  made = made and (made_after[made] or string.format('%d', made + 1)) or '1'
  ended[set] = ended[set] + 1
  if completed then
    write_end(item, set, 'returnvalue', made, now)
  else
    write_end(item, set, 'failedReason', made, now)
    local attempts = string.match(item.more, '^%d+')
    if tonumber(made) >= tonumber(attempts) then
      emit('retries-exhausted', 'jobId', item.id, 'attemptsMade', made)
    end
  end
  return 0
end
