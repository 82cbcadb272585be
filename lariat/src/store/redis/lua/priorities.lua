--- Counts ready jobs by priority.
---
--- KEYS 1 the queue's base key with its colon
--- ARGV the priorities, 0 for none
--- Reply: a count for each
--- Errors: a key of another type
--- Writes, events: none
--- Agrees with BullMQ's getCountsPerPriority; 0 counts its legacy list of paused jobs too
--- @include lengths

local counts = {}
for i, priority in ipairs(ARGV) do
  local p = tonumber(priority)
  counts[i] = p == 0 and waiting() or call('ZCOUNT', base .. 'prioritized', p * 4294967296, (p + 1) * 4294967296 - 1)
end
return counts
