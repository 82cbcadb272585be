--- @include others
--- @include events
-- Completed, or failed for good. `item.value` is the result (JSON) or the reason; `item.rule` the retention; for a
-- failure `item.more` is the attempts allowed, a blank, and the stack traces.
local next_made = { ['1'] = '2', ['2'] = '3' }
local ended = { completed = 0, failed = 0 }

local function write_end(item, set, field, made, now)
  if item.rule == '0' then
    removed[item.id] = true
    remove_records({ item.id })
  elseif set == 'completed' then
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

local function finish(item, now)
  local record = read_record(item, 'atm', 'parentKey', 'deid', 'parent')
  if not record then
    return -1
  end
  local completed = item.kind == 'complete'
  local set, field = 'failed', 'failedReason'
  if completed then
    set, field = 'completed', 'returnvalue'
  end
  if ended[set] == 0 then
    call('ZCARD', base .. set) -- of another type: an error before the first write
  end
  local code = completed and refusal_by_children(item.key) or 0
  if code == 0 then
    code = let_go(item)
  end
  if code ~= 0 then
    return code
  end
  ended[set] = ended[set] + 1
  trim_with_next_event()
  if record[3] or record[4] then
    touch_others(item, record[3], record[5], record[4], completed, now)
  end
  local made = record[2]
  made = made and (next_made[made] or string.format('%d', made + 1)) or '1'
  write_end(item, set, field, made, now)
  if not completed and tonumber(made) >= tonumber(string.match(item.more, '^%d+')) then
    emit('retries-exhausted', 'jobId', item.id, 'attemptsMade', made)
  end
  return 0
end
