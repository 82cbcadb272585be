--- @include base
-- Takes ids off `active`. Finished jobs are mostly its oldest entries, so for many the tail is read once, and written
-- once without them; an id that is not there is looked for one by one.
local active = base .. 'active'
local tail, place_in_tail, deepest = nil, nil, 0

local function read_tail(n)
  tail, place_in_tail, deepest = call('LRANGE', active, -n, '-1'), {}, 0
  for i = 1, #tail do
    place_in_tail[tail[i]] = i
  end
end

-- Whether the id was in `active`; if so it no longer counts as such.
local function leave_active(id)
  local place = tail and place_in_tail[id]
  if not place then
    return call('LREM', active, '-1', id) == 1
  end
  place_in_tail[id] = nil
  tail[place] = false
  if deepest == 0 or place < deepest then
    deepest = place
  end
  return true
end

-- Writes what was left out of the tail.
local function write_tail()
  if not tail or deepest == 0 then
    tail = nil
    return
  end
  local kept = {}
  for i = deepest, #tail do
    if tail[i] then
      kept[#kept + 1] = tail[i]
    end
  end
  call('LTRIM', active, '0', -(#tail - deepest + 2))
  if #kept > 0 then
    call('RPUSH', active, unpack(kept))
  end
  tail = nil
end
