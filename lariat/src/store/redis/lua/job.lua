--- One job and its state, in one look.
---
--- KEYS 1 the queue's base key with its colon
--- ARGV 1 id
--- Reply: the record, names and values in turn (empty: there is none), and the state, empty where it is in none
--- Errors: a key of another type
--- Writes, events: none
--- Agrees with BullMQ's getState
--- @include find_state

local record = call('HGETALL', base .. ARGV[1])
return { record, #record > 0 and find_state(ARGV[1]) or '' }
