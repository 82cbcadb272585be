--- @include next_ids
--- @include activate
-- Hands out up to `want` jobs, as that many fetches one after the other would. Returns a hint and its value: what to do
-- when fewer came than wanted. An id without a record is dropped, and the next one tried.
local limited = is_paused or most_active or settings[3] or ARGV[8] ~= ''

local function take(want)
  local ready = (now + 1) * 4096 - 1
  if #call('ZRANGEBYSCORE', base .. 'delayed', '0', ready, 'LIMIT', '0', '1') > 0 then
    seldom().promote()
  end
  local looked, room, why, value = 0, nil, nil, nil
  while #taken < want and looked < want + 256 do
    room = want - #taken
    if limited then
      room, why, value = seldom().allowance(room)
    end
    if room == 0 then
      return why, value
    end
    local ids, started, counted = next_ids(room), {}, 0
    if #ids == 0 then
      local first = call('ZRANGE', base .. 'delayed', '0', '0', 'WITHSCORES')
      return first[2] and 'due' or 'wait', first[2] and math.floor(tonumber(first[2]) / 4096)
    end
    looked = looked + #ids
    for i = 1, #ids do
      local active, counts = activate(ids[i])
      if active then
        started[#started + 1] = ids[i]
        counted = counted + (counts and 1 or 0)
      end
    end
    if #started > 0 then
      call('LPUSH', base .. 'active', unpack(started))
      if limited then
        seldom().count_started(counted)
      end
    end
  end
  return 'again'
end
