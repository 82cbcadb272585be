--- @include base
-- The score of a job that becomes due at `due`: the millisecond above 4096 places of arrival. `last` is the last place
-- that was given out for that millisecond and has not been written yet.
local function delayed_score(due, last)
  local low, high = due * 4096, due * 4096 + 4095
  if not last then
    local found = call('ZREVRANGEBYSCORE', base .. 'delayed', high, low, 'WITHSCORES', 'LIMIT', '0', '1')
    last = found[2] and tonumber(found[2])
  end
  if not last then
    return low
  end
  return last < high and last + 1 or high
end
