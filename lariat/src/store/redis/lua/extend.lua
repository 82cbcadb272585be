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

local args, stalled = ARGV, base .. 'stalled'
local n = (#args - 1) / 2
-- An instant, made once: of a span the server would make one, and rewrite the command, for every lock.
local time = call('TIME')
local lapses = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000) + args[1])
local keys = {}
for i = 1, n do
  keys[i] = base .. args[2 * i] .. ':lock'
end
local locks = call('MGET', unpack(keys))
local codes, extended = {}, 0
local suspected = call('EXISTS', stalled) == 1 and {} -- which the search for stalled jobs fills, and renewals empty
for i = 1, n do
  if locks[i] == args[2 * i + 1] then
    call('PEXPIREAT', keys[i], lapses)
    extended = extended + 1
    codes[i] = '0'
    if suspected then
      suspected[extended] = args[2 * i]
    end
  else
    codes[i] = locks[i] and '2' or '1'
  end
end
if suspected and extended > 0 then
  try('SREM', stalled, unpack(suspected))
end
return extended == n and '' or table.concat(codes)
