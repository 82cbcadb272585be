--- @include settings
-- Events. Losing one (a stream of the wrong type, say) must not stop the queue, so errors are dropped here.
local events = base .. 'events'
local trim_first = false

-- A finish trims the stream before it writes. XADD trims after writing: with a limit of one more the same entries go.
local function trim_with_next_event()
  if trim_first == false then
    trim_first = true
  end
end

local function emit(...)
  if trim_first then
    trim_first = nil
    try('XADD', events, 'MAXLEN', '~', events_kept() + 1, '*', 'event', ...)
  else
    try('XADD', events, '*', 'event', ...)
  end
end

local function emit_trimmed(...)
  try('XADD', events, 'MAXLEN', '~', events_kept(), '*', 'event', ...)
end
