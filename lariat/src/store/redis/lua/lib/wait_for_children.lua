--- @include held
--- @include events
-- Until its children have ended. 1: none is pending, so it stays active and locked, and runs again.
local function wait_for_children(item, now)
  if not read_record(item) then
    return -1
  end
  if call('ZCARD', item.key .. ':unsuccessful') > 0 then
    return -9
  end
  if call('SCARD', item.key .. ':dependencies') == 0 then
    return 1
  end
  call('ZCARD', base .. 'waiting-children')
  local code = let_go(item)
  if code ~= 0 then
    return code
  end
  call('ZADD', base .. 'waiting-children', now, item.id)
  emit('waiting-children', 'jobId', item.id, 'prev', 'active')
  return 0
end
