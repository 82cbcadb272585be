--- @include outcome
--- @include events
-- Back to the front, as if it had not been taken: no attempt is used.
local function put_back(i, id, token)
  local job = base .. id
  local record = read_record(job, 'priority')
  if not record then
    return -1
  end
  check_queue()
  local code = let_go(i, id, token)
  if code ~= 0 then
    return code
  end
  local priority = tonumber(record[2]) or 0
  if priority > 0 then
    call('ZADD', base .. 'prioritized', priority * 4294967296, id)
  else
    call('RPUSH', base .. 'wait', id)
  end
  wake_wanted = true
  emit_trimmed('waiting', 'jobId', id, 'prev', 'active')
  return 0
end
