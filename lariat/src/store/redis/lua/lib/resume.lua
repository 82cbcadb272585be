--- @include events
--- @include marker
-- Jobs are handed out again. What older clients put aside comes first; it is moved in steps, the part that is to run last
-- first. Returns how many are left.
local MOST_MOVED = 7000

local function resume(goes_on)
  local paused, wait = base .. 'paused', base .. 'wait'
  local left, waiting = call('LLEN', paused), call('LLEN', wait)
  call('ZCARD', base .. 'prioritized')
  if not goes_on then
    call('HDEL', meta, 'paused')
    is_paused = false
  end
  if left > 0 and waiting == 0 then
    call('RENAME', paused, wait)
    left = 0
  elseif left > 0 then
    local ids = call('LRANGE', paused, '0', MOST_MOVED - 1)
    for from = 1, #ids, 1000 do
      call('RPUSH', wait, unpack(ids, from, math.min(from + 999, #ids)))
    end
    call('LTRIM', paused, #ids, '-1')
    left = left - #ids
  end
  if is_paused then
    return left -- by somebody else, since the first step
  elseif call('LLEN', wait) + call('ZCARD', base .. 'prioritized') > 0 then
    wake()
  else
    mark_next_delayed()
  end
  if not goes_on then
    emit('resumed')
  end
  return left
end
