--- Moves one job to another place of its queue, or out of it.
---
--- KEYS 1 the queue's base key with its colon
--- ARGV 1 id   2 token that must hold the job's lock, or empty   3 now, ms   4 kind, and what that takes:
---      `promote`   `delay`: 5 delay from now, ms   `priority`: 5 priority, 6 `1` for the front
---      `reprocess`: 5 set it must be in, or empty, 6 `1` to reset `atm`, 7 `1` to reset `ats`
---      `remove`: 5 `1` for its children too
--- Reply: 0; below 0 BullMQ's refusal
--- Errors: a key of another type: nothing was changed; `remove` passes over such keys
--- Writes: wait paused prioritized pc delayed completed failed marker events meta, the job; its parent wherever it is;
---      `remove`: any state, de:* dn:*, and all that belongs to the job and the jobs below it wherever they are
--- Events: waiting delayed removed
--- Agrees with BullMQ's promote, changeDelay, changePriority, reprocessJob, removeJob
--- @include addressed
--- @include outcome
--- @include events
--- @include marker
--- @include priority
--- @include delayed

local kind = ARGV[4]
if not exists and kind ~= 'remove' then
  return -1
end
local refused = refused_for_lock()
if refused then
  return refused
end

if kind == 'promote' then
  --- @include promote_one
  return promote_one(id)
elseif kind == 'delay' then
  --- @include change_delay
  return change_delay(id, tonumber(ARGV[5]))
elseif kind == 'priority' then
  --- @include change_priority
  return change_priority(id, tonumber(ARGV[5]), ARGV[6] == '1')
elseif kind == 'reprocess' then
  --- @include reprocess
  return reprocess(id, ARGV[5], ARGV[6] == '1', ARGV[7] == '1')
end
--- @include remove_job
return remove_job(id, ARGV[5] == '1')
