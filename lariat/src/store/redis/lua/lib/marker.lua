--- @include settings
-- The tokens that blocked workers wait for. A marker of the wrong type costs promptness, not the call.
local marker = base .. 'marker'

-- Wakes one worker.
local function wake()
  try('ZADD', marker, '0', '0')
end

-- Nobody may start now, so nobody is to be woken.
local function paused_or_maxed()
  if is_paused then
    return true
  end
  return most_active ~= nil and call('LLEN', base .. 'active') >= most_active
end

-- Tells sleepers when the next delayed job is due, in whole milliseconds.
local function mark_next_delayed()
  local first = call('ZRANGE', base .. 'delayed', '0', '0', 'WITHSCORES')
  if first[2] then
    try('ZADD', marker, math.floor(tonumber(first[2]) / 4096), '1')
  end
end
