--- @include marker
--- @include settings
-- Markers are written once, at the end of a call.
local wake_wanted, delay_wanted = false, false

local function has_work()
  return call('LLEN', base .. 'wait') > 0 or call('ZCARD', base .. 'prioritized') > 0
end

local function write_markers(activated)
  if (activated or (wake_wanted and not paused_or_maxed())) and has_work() then
    wake()
  end
  if delay_wanted then
    mark_next_delayed()
  end
end
