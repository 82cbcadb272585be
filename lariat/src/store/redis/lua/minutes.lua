--- How many jobs ended in one final state, by the minute.
---
--- KEYS 1 the queue's base key with its colon
--- ARGV 1 `completed` or `failed`   2 most minutes
--- Reply: all that ended so, or nil; when the last minute was written, ms, or nil; counts by minute, the newest first
--- Errors: a key of another type
--- Writes, events: none
--- Agrees with BullMQ's getMetrics

local key = KEYS[1] .. 'metrics:' .. ARGV[1]
local found, most = redis.call('HMGET', key, 'count', 'prevTS'), tonumber(ARGV[2])
return { found[1], found[2], most > 0 and redis.call('LRANGE', key .. ':data', '0', most - 1) or {} }
