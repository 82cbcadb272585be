--- @include settings
-- Events. Losing one (a stream of the wrong type, say) must not stop the queue, so errors are dropped here.
local function emit(...)
  try('XADD', base .. 'events', '*', 'event', ...)
end

local function emit_trimmed(...)
  try('XADD', base .. 'events', 'MAXLEN', '~', events_kept(), '*', 'event', ...)
end
