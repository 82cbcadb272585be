--- Changes one job.
---
--- KEYS 1 the queue's base key with its colon
--- ARGV 1 id   2 token that must hold the job's lock, or empty   3 `progress`, `data` or `log`
---      4 JSON for the first two; for `log` how many rows to keep, or empty, and the rows after it
--- Reply: rows of the log after `log`, else 0; below 0 BullMQ's refusal
--- Errors: a key of another type: nothing was changed
--- Writes: the job, its logs, events, meta
--- Events: progress
--- Agrees with BullMQ's updateProgress, updateData, addLog
--- @include events

local id, token, what = ARGV[1], ARGV[2], ARGV[3]
local job = base .. id
if call('EXISTS', job) == 0 then
  return -1
end
if token ~= '' then
  local lock = call('GET', job .. ':lock')
  if lock ~= token then
    return lock and -6 or -2
  end
end

if what == 'progress' then
  call('HSET', job, 'progress', ARGV[4])
  emit_trimmed('progress', 'jobId', id, 'data', ARGV[4])
  return 0
elseif what == 'data' then
  call('HSET', job, 'data', ARGV[4])
  return 0
end
local logs, rows = job .. ':logs', 0
for from = 5, #ARGV, 1000 do
  rows = call('RPUSH', logs, unpack(ARGV, from, math.min(from + 999, #ARGV)))
end
local keep = tonumber(ARGV[4])
if keep then
  call('LTRIM', logs, keep > 0 and -keep or 1, keep > 0 and -1 or 0)
  rows = math.min(rows, keep)
end
return rows
