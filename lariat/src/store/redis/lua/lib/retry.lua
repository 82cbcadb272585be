--- @include outcome
--- @include promote
-- Back to where it runs from, at once: the attempt failed and another one is due now. `rule` is `R` for the front of the
-- queue, else `L`.
local function retry(i, id, token, reason, rule, traces)
  promote()
  local job = base .. id
  local record = read_record(job, 'atm', 'priority')
  if not record then
    return -1
  end
  check_queue()
  local code = let_go(i, id, token)
  if code ~= 0 then
    return code
  end
  local made, priority = (tonumber(record[2]) or 0) + 1, tonumber(record[3]) or 0
  call('HSET', job, 'failedReason', reason, 'stacktrace', traces, 'atm', made)
  if priority > 0 then
    prioritize({ id }, { priority })
  else
    call(rule == 'R' and 'RPUSH' or 'LPUSH', base .. 'wait', id)
  end
  wake_wanted = true
  emit_trimmed('waiting', 'jobId', id, 'prev', 'active')
  return 0
end
