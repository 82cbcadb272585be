--- Changes how the queue is worked.
---
--- KEYS 1 the queue's base key with its colon
--- ARGV 1 what: `pause`   `resume`: 2 `1` for a step that goes on with an earlier one
---      `concurrency`: 2 most active jobs, or empty   `rate`: 2 starts in a window, 3 window, ms; both or neither
---      `limited`: 2 for how long, ms, or empty to forget the count
--- Reply: ids that are left in the legacy list of paused jobs after `resume`, else 0
--- Errors: a key of another type: nothing was changed
--- Writes: meta marker wait paused limiter events
--- Events: paused resumed
--- Agrees with BullMQ's pause, and with what its setGlobalConcurrency, setGlobalRateLimit, rateLimit and their opposites write
--- @include events
--- @include marker

local what, first, second = ARGV[1], ARGV[2], ARGV[3]

local function set_or_delete(field, value)
  if value == '' then
    call('HDEL', meta, field)
  else
    call('HSET', meta, field, value)
  end
end

if what == 'pause' then
  call('HSET', meta, 'paused', '1')
  try('DEL', marker)
  emit('paused')
elseif what == 'resume' then
  --- @include resume
  return resume(first == '1')
elseif what == 'concurrency' then
  set_or_delete('concurrency', first)
  most_active = tonumber(first)
  local has_work = call('LLEN', base .. 'wait') > 0 or call('ZCARD', base .. 'prioritized') > 0
  if has_work and not paused_or_maxed() then
    wake()
  end
elseif what == 'rate' then
  set_or_delete('max', first)
  set_or_delete('duration', second)
elseif first == '' then
  call('DEL', base .. 'limiter')
else
  call('SET', base .. 'limiter', '9007199254740991', 'PX', first)
end
return 0
