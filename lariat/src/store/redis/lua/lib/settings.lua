--- @include base
-- The queue's settings, read once a call. A limit of the event stream that is no number counts as missing.
local meta = base .. 'meta'
local settings = call('HMGET', meta, 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents')
local is_paused, most_active = settings[1], tonumber(settings[2])
local event_limit = tonumber(settings[5])
