--- @include held
--- @include wishes
--- @include events
--- @include delayed
-- To run again later. `item.rule` is the delay in ms. `backoff` is a failed attempt, with the reason in `item.value` and
-- the stack traces in `item.more`; `delay` was asked for by the handler and uses no attempt.
local function delay(item, now)
  local record = read_record(item, 'atm')
  if not record then
    return -1
  end
  local due = now + math.max(tonumber(item.rule), 0)
  local score = delayed_score(due)
  local code = let_go(item)
  if code ~= 0 then
    return code
  end
  if item.kind == 'backoff' then
    local made = (tonumber(record[2]) or 0) + 1
    call('HSET', item.key, 'failedReason', item.value, 'stacktrace', item.more, 'atm', made, 'delay', item.rule)
  else
    call('HSET', item.key, 'delay', item.rule)
  end
  call('ZADD', base .. 'delayed', score, item.id)
  emit_trimmed('delayed', 'jobId', item.id, 'delay', due)
  delay_wanted = true
  return 0
end
