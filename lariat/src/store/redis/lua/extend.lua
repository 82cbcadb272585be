--- Extends locks that are still held.
---
--- KEYS 1 the queue's base key with its colon
--- ARGV 1 lock duration, ms   then id and token for each lock
--- Reply: a digit for each lock, 0 extended, 1 missing, 2 held by another; empty where all were extended
--- Errors: those of the first write
--- Writes: the locks, stalled
--- Events: none
--- Agrees with BullMQ's extendLocks
--- @include base

local life, n = ARGV[1], (#ARGV - 1) / 2
local keys = {}
for i = 1, n do
  keys[i] = base .. ARGV[2 * i] .. ':lock'
end
local locks = call('MGET', unpack(keys))
local codes, extended = {}, {}
for i = 1, n do
  if locks[i] == ARGV[2 * i + 1] then
    call('PEXPIRE', keys[i], life)
    extended[#extended + 1] = ARGV[2 * i]
    codes[i] = '0'
  else
    codes[i] = locks[i] and '2' or '1'
  end
end
if #extended > 0 then
  try('SREM', base .. 'stalled', unpack(extended))
end
return #extended == n and '' or table.concat(codes)
