--- @include held
--- @include wishes
--- @include promote
-- Back to where it runs from, at once: the attempt failed and another one is due now. `item.value` is the reason,
-- `item.more` the stack traces, `item.rule` is `R` for the front of the queue, else `L`.
local function retry(item, now)
  promote(now)
  local record = read_record(item, 'atm', 'priority')
  if not record then
    return -1
  end
  check_queue()
  local code = let_go(item)
  if code ~= 0 then
    return code
  end
  local made, priority = (tonumber(record[2]) or 0) + 1, tonumber(record[3]) or 0
  call('HSET', item.key, 'failedReason', item.value, 'stacktrace', item.more, 'atm', made)
  if priority > 0 then
    prioritize({ item.id }, { priority })
  else
    call(item.rule == 'R' and 'RPUSH' or 'LPUSH', base .. 'wait', item.id)
  end
  wake_wanted = true
  emit_trimmed('waiting', 'jobId', item.id, 'prev', 'active')
  return 0
end
