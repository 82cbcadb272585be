--- Counts by state, whether the queue is paused, and its limits.
---
--- KEYS 1 the queue's base key with its colon
--- ARGV none
--- Reply: 1 where paused, then waiting, active, delayed, prioritized, completed, failed, waiting-children; then as they
---      are stored, or nil: concurrency, max, duration; then the limiter's count, or nil, and its life in ms
--- Errors: a key of another type
--- Writes, events: none
--- Agrees with BullMQ's getCounts; `waiting` counts its legacy list of paused jobs too
--- @include lengths

local settings = call('HMGET', base .. 'meta', 'concurrency', 'max', 'duration')
return {
  call('HEXISTS', base .. 'meta', 'paused'),
  waiting(),
  call('LLEN', base .. 'active'),
  call('ZCARD', base .. 'delayed'),
  call('ZCARD', base .. 'prioritized'),
  call('ZCARD', base .. 'completed'),
  call('ZCARD', base .. 'failed'),
  call('ZCARD', base .. 'waiting-children'),
  settings[1],
  settings[2],
  settings[3],
  call('GET', base .. 'limiter'),
  call('PTTL', base .. 'limiter'),
}
