--- @include promote
--- @include allowance
--- @include next_ids
--- @include activate
-- Hands out up to `want` jobs, as that many fetches one after the other would. Returns a hint and its value: what to do
-- when fewer came than wanted.
local function take(want, now, lease)
  promote(now)
  local looked = 0
  while #taken < want and looked < want + 256 do
    local room, why, value = allowance(want - #taken)
    if room == 0 then
      return why, value
    end
    local ids, started, counted = next_ids(room), {}, 0
    if #ids == 0 then
      local first = call('ZRANGE', base .. 'delayed', '0', '0', 'WITHSCORES')
      if first[2] then
        return 'due', math.floor(tonumber(first[2]) / 4096)
      end
      return 'wait'
    end
    looked = looked + #ids
    for i = 1, #ids do
      local active, counts = activate(ids[i], now, lease)
      if active then
        started[#started + 1] = ids[i]
        counted = counted + (counts and 1 or 0)
      end
    end
    if #started > 0 then
      call('LPUSH', base .. 'active', unpack(started))
      count_started(counted)
    end
  end
  return 'again'
end
