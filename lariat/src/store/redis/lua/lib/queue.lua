--- @include base
-- Parents may live in another queue: these work on any queue, given its base key `q`.
local function wake_queue(q)
  local found = call('HMGET', q .. 'meta', 'paused', 'concurrency')
  local most = tonumber(found[2])
  if not found[1] and not (most and call('LLEN', q .. 'active') >= most) then
    call('ZADD', q .. 'marker', '0', '0')
  end
end

-- A parent key's queue and id; BullMQ splits at the last colon.
local function split_key(key)
  return string.match(key, '^(.*:)([^:]*)$')
end

-- A child is going away for good: its parent waits for it no longer, and is put in front of its queue when it was the
-- last one.
local function unlink(child, parent)
  local dependencies = parent .. ':dependencies'
  if call('SREM', dependencies, child) == 0 or call('EXISTS', dependencies) == 1 then
    return
  end
  local q, id = split_key(parent)
  if q and call('ZREM', q .. 'waiting-children', id) == 1 then
    call('RPUSH', q .. 'wait', id)
    wake_queue(q)
    call('XADD', q .. 'events', '*', 'event', 'waiting', 'jobId', id, 'prev', 'waiting-children')
  end
end
