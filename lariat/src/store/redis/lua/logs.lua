--- Rows of a job's log, oldest first.
---
--- KEYS 1 the queue's base key with its colon
--- ARGV 1 id   2 rows to skip   3 most rows
--- Reply: rows in the log; the rows asked for
--- Errors: a log of another type
--- Writes, events: none
--- Agrees with BullMQ's getJobLogs

local key, from, most = KEYS[1] .. ARGV[1] .. ':logs', tonumber(ARGV[2]), tonumber(ARGV[3])
local rows = redis.call('LLEN', key)
return { rows, most > 0 and redis.call('LRANGE', key, from, from + most - 1) or {} }
