--- @include base
-- Scores of delayed jobs: the due millisecond above 4096 places of arrival. `place` keeps the last place given out for
-- a millisecond in this call.
local delayed = base .. 'delayed'
local place = {}

local function delayed_score(due)
  local low, high = due * 4096, due * 4096 + 4095
  local last = place[due]
  if not last then
    local found = call('ZREVRANGEBYSCORE', delayed, high, low, 'WITHSCORES', 'LIMIT', '0', '1')
    last = found[2] and tonumber(found[2])
  end
  local score = low
  if last then
    score = last < high and last + 1 or high
  end
  place[due] = score
  return score
end
