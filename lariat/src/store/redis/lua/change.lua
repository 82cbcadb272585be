--- Changes what one job's record and log say.
---
--- KEYS 1 the queue's base key with its colon
--- ARGV 1 id   2 token that must hold the job's lock, or empty   3 now, ms   4 `progress`, `data`, `log` or `trim`
---      5 JSON for the first two; for the others how many rows to keep, or empty   6 and more: rows to add
--- Reply: rows of the log after `log` and `trim`, else 0; below 0 BullMQ's refusal
--- Errors: a key of another type: nothing was changed
--- Writes: the job, its logs, events, meta
--- Events: progress
--- Agrees with BullMQ's updateProgress, updateData, addLog and its clearLogs
--- @include addressed
--- @include events

local what, value = ARGV[4], ARGV[5]
if not exists then
  return -1
end
local refused = refused_for_lock()
if refused then
  return refused
end

if what == 'progress' then
  call('HSET', job, 'progress', value)
  emit_trimmed('progress', 'jobId', id, 'data', value)
  return 0
elseif what == 'data' then
  call('HSET', job, 'data', value)
  return 0
end
local logs, keep = job .. ':logs', tonumber(value)
for from = 6, #ARGV, 1000 do
  call('RPUSH', logs, unpack(ARGV, from, math.min(from + 999, #ARGV)))
end
if keep and keep > 0 then
  call('LTRIM', logs, -keep, '-1')
elseif keep then
  call('LTRIM', logs, '1', '0')
end
return call('LLEN', logs)
