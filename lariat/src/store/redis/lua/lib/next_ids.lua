--- @include base
-- Takes up to `n` ids off the queue, the next to run first: `wait` before `prioritized`.
local wait_is_empty = false

local function next_ids(n)
  local wait, ids = base .. 'wait', {}
  if n == 1 and not wait_is_empty then
    ids[1] = call('RPOP', wait) or nil
  elseif not wait_is_empty then
    local last = call('LRANGE', wait, -n, '-1')
    local found = #last
    if found > 0 then
      call('LTRIM', wait, '0', -found - 1)
    end
    for i = found, 1, -1 do
      ids[found + 1 - i] = last[i]
    end
  end
  wait_is_empty = #ids < n
  if #ids > 0 then
    return ids
  end
  local popped = call('ZPOPMIN', base .. 'prioritized', n)
  for i = 1, #popped, 2 do
    ids[#ids + 1] = popped[i]
  end
  if #ids < n then
    call('DEL', base .. 'pc')
  end
  return ids
end
