--- Counts by state, and whether the queue is paused.
---
--- KEYS 1 the queue's base key with its colon
--- ARGV none
--- Reply: 1 where paused, then waiting, active, delayed, prioritized, completed, failed, waiting-children
--- Errors: a key of another type
--- Writes, events: none
--- Agrees with BullMQ's getCounts; `waiting` counts its legacy list of paused jobs too
--- @include base

-- Without the marker that versions before 5 put at the right end.
local function length_of(list)
  local n = call('LLEN', list)
  local last = n > 0 and call('LINDEX', list, '-1') or ''
  return string.sub(last, 1, 2) == '0:' and n - 1 or n
end

return {
  call('HEXISTS', base .. 'meta', 'paused'),
  length_of(base .. 'wait') + length_of(base .. 'paused'),
  call('LLEN', base .. 'active'),
  call('ZCARD', base .. 'delayed'),
  call('ZCARD', base .. 'prioritized'),
  call('ZCARD', base .. 'completed'),
  call('ZCARD', base .. 'failed'),
  call('ZCARD', base .. 'waiting-children'),
}
