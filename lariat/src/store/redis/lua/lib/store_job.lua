--- @include events
-- Writes a new job's record and announces it.
local function store_job(id, name, data, opts, timestamp, delay, priority, ...)
  call('HSET', base .. id, 'name', name, 'data', data, 'opts', opts, 'timestamp', timestamp, 'delay', delay,
    'priority', priority, ...)
  emit('added', 'jobId', id, 'name', name)
end
