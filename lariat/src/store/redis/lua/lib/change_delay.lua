--- @include events
--- @include marker
--- @include delayed
-- A delayed job is due `delay` ms from now. Its old place counts when the new one is looked for.
local function change_delay(id, delay)
  local due = now + delay
  local score = delayed_score(due)
  if call('ZREM', base .. 'delayed', id) == 0 then
    return -3
  end
  call('HSET', base .. id, 'delay', delay)
  call('ZADD', base .. 'delayed', score, id)
  emit_trimmed('delayed', 'jobId', id, 'delay', due)
  mark_next_delayed()
  return 0
end
