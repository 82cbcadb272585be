--- @include held
--- @include wishes
--- @include events
-- Back to the front, as if it had not been taken: no attempt is used.
local function put_back(item)
  local record = read_record(item, 'priority')
  if not record then
    return -1
  end
  check_queue()
  local code = let_go(item)
  if code ~= 0 then
    return code
  end
  local priority = tonumber(record[2]) or 0
  if priority > 0 then
    call('ZADD', base .. 'prioritized', priority * 4294967296, item.id)
  else
    call('RPUSH', base .. 'wait', item.id)
  end
  wake_wanted = true
  emit_trimmed('waiting', 'jobId', item.id, 'prev', 'active')
  return 0
end
