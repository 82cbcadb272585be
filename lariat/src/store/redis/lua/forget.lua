--- Deletes what a queue without jobs has left.
---
--- KEYS 1 the queue's base key with its colon   2 the suspects of a search for stalled jobs, ours alone
--- ARGV none
--- Reply: 1, or 0 where it has jobs or schedulers: nothing was deleted
--- Errors: none
--- Writes: meta id events marker pc stalled stalled-check limiter metrics:completed metrics:failed and their data, the
---      suspects
--- Events: none
--- Does what BullMQ's obliterate does once its jobs are gone
--- @include base

for _, name in ipairs({ 'wait', 'paused', 'active', 'delayed', 'prioritized', 'completed', 'failed', 'waiting-children', 'repeat' }) do
  if call('EXISTS', base .. name) == 1 then
    return 0
  end
end
local left = { KEYS[2] }
for _, name in ipairs({ 'meta', 'id', 'events', 'marker', 'pc', 'stalled', 'stalled-check', 'limiter' }) do
  left[#left + 1] = base .. name
end
for _, set in ipairs({ 'completed', 'failed' }) do
  left[#left + 1] = base .. 'metrics:' .. set
  left[#left + 1] = base .. 'metrics:' .. set .. ':data'
end
call('UNLINK', unpack(left))
return 1
