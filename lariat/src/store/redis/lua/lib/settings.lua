--- @include base
-- The queue's settings, read once a call. A limit of the event stream that is missing is written as its default, by
-- the first step that needs it; one that is no number counts as the default.
local meta = base .. 'meta'
local settings = call('HMGET', meta, 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents')
local is_paused, most_active = settings[1], tonumber(settings[2])
local event_limit = tonumber(settings[5])

local function events_kept()
  if not event_limit then
    event_limit = 10000
    if not settings[5] then
      call('HSET', meta, 'opts.maxLenEvents', '10000')
    end
  end
  return event_limit
end

local function paused_or_maxed()
  if is_paused then
    return true
  end
  return most_active ~= nil and call('LLEN', base .. 'active') >= most_active
end
