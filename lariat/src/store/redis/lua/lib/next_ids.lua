--- @include held
-- Takes up to `room` ids off the queue, the next to run first: `wait` before `prioritized`. Where there is room for one
-- only it goes from `wait` to `active` in one step; the second result says that it did.
local wait_is_empty = false

local function next_ids(room)
  local ids = {}
  if not wait_is_empty then
    if room == 1 then
      ids[1] = call('RPOPLPUSH', base .. 'wait', active) or nil
    else
      local last = call('LRANGE', base .. 'wait', -room, '-1')
      local found = #last
      if found > 0 then
        call('LTRIM', base .. 'wait', '0', -found - 1)
      end
      for i = found, 1, -1 do
        ids[found + 1 - i] = last[i]
      end
    end
    wait_is_empty = #ids < room
    if ids[1] then
      return ids, room == 1
    end
  end
  local popped = call('ZPOPMIN', base .. 'prioritized', room)
  for i = 1, #popped, 2 do
    ids[#ids + 1] = popped[i]
  end
  if #ids < room then
    call('DEL', base .. 'pc')
  end
  return ids, false
end
