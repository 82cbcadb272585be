--- @include settings
-- Events. Losing one (a stream of the wrong type, say) must not stop the queue, so errors are dropped here.
local function emit(...)
  try('XADD', base .. 'events', '*', 'event', ...)
end

-- How many the stream keeps. A limit that is missing is written as its default, by the first step that needs it.
local function events_kept()
  if not event_limit then
    event_limit = 10000
    if not settings[5] then
      call('HSET', meta, 'opts.maxLenEvents', '10000')
    end
  end
  return event_limit
end

local function emit_trimmed(...)
  try('XADD', base .. 'events', 'MAXLEN', '~', events_kept(), '*', 'event', ...)
end
