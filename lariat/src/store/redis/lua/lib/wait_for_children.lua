--- @include outcome
--- @include events
-- Until its children have ended. 1: none is pending, so it stays active and locked, and runs again.
local function wait_for_children(i, id, token)
  local job = base .. id
  if not read_record(job) then
    return -1
  elseif call('ZCARD', job .. ':unsuccessful') > 0 then
    return -9
  elseif call('SCARD', job .. ':dependencies') == 0 then
    return 1
  end
  call('ZCARD', base .. 'waiting-children')
  local code = let_go(i, id, token)
  if code ~= 0 then
    return code
  end
  call('ZADD', base .. 'waiting-children', now, id)
  emit('waiting-children', 'jobId', id, 'prev', 'active')
  return 0
end
