--- @include outcome
--- @include events
--- @include delayed
-- To run again in `rule` ms. With a reason it is a failed attempt; without, the handler asked for it and no attempt is
-- used.
local function delay(i, id, token, reason, rule, traces)
  local job = base .. id
  local record = read_record(job, 'atm')
  if not record then
    return -1
  end
  local due = now + rule
  local score = delayed_score(due)
  local code = let_go(i, id, token)
  if code ~= 0 then
    return code
  end
  if traces ~= '' then
    local made = (tonumber(record[2]) or 0) + 1
    call('HSET', job, 'failedReason', reason, 'stacktrace', traces, 'atm', made, 'delay', rule)
  else
    call('HSET', job, 'delay', rule)
  end
  call('ZADD', base .. 'delayed', score, id)
  emit_trimmed('delayed', 'jobId', id, 'delay', due)
  delay_wanted = true
  return 0
end
