--- Adds jobs.
---
--- KEYS 1 the queue's base key with its colon   2 the lane's record
--- ARGV 1 number of the call in its lane, 16 digits   2 life of the lane's record, ms
---      then eight for each job: id or empty, name, data (JSON), options (JSON), timestamp, delay, priority, `1` for lifo
--- Reply: MessagePack values one after the other: `new`, `known` or `stale`; the ids, in order
--- Errors: a list or counter of another type, no memory, read only: nothing was added
--- Writes: id wait prioritized pc delayed marker events meta, the jobs, the lane's record
--- Events: added waiting delayed duplicated
--- Agrees with BullMQ's addStandardJob, addDelayedJob, addPrioritizedJob
--- @include base
local recorded = call('GET', KEYS[2])
--- @include lane
if how == 'known' then
  return pack(how) .. recorded
elseif how == 'stale' then
  return pack(how, {})
end
--- @include store_job
--- @include enqueue

call('LLEN', base .. 'wait')
call('ZCARD', base .. 'prioritized')
call('ZCARD', base .. 'delayed')
local HEAD, EACH = 2, 8
local n = (#ARGV - HEAD) / EACH
local counter = call('INCRBY', base .. 'id', n) - n
events_kept()
local ids = {}
for i = 1, n do
  local at = HEAD + EACH * (i - 1)
  local id, name, timestamp, delay, priority = ARGV[at + 1], ARGV[at + 2], ARGV[at + 5], ARGV[at + 6], ARGV[at + 7]
  local say = i == n and emit_trimmed or emit
  if id == '' then
    id = string.format('%d', counter + i)
  end
  if ARGV[at + 1] ~= '' and call('EXISTS', base .. id) == 1 then
    say('duplicated', 'jobId', id)
  else
    store_job(id, name, ARGV[at + 3], ARGV[at + 4], timestamp, delay, priority)
    enqueue(id, timestamp, tonumber(delay), tonumber(priority), ARGV[at + 8] == '1', say)
  end
  ids[i] = id
end
write_enqueued()
local answer = pack(ids)
call('SET', lane, number .. answer, 'PX', ARGV[2])
return pack('new') .. answer
