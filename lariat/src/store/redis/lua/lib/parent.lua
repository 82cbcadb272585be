--- @include queue
-- What a child's end means for its parent.
local function parent_runs(q, id)
  local found = call('HMGET', q .. id, 'priority', 'delay')
  local priority, delay = tonumber(found[1]) or 0, tonumber(found[2]) or 0
  if delay > 0 then
    call('ZADD', q .. 'delayed', (now + delay) * 4096, id)
    call('XADD', q .. 'events', '*', 'event', 'delayed', 'jobId', id, 'delay', now + delay)
    local first = call('ZRANGE', q .. 'delayed', '0', '0', 'WITHSCORES')
    call('ZADD', q .. 'marker', math.floor(tonumber(first[2]) / 4096), '1')
    return
  end
  if priority > 0 then
    local arrival = call('INCR', q .. 'pc')
    call('ZADD', q .. 'prioritized', priority * 4294967296 + arrival % 4294967296, id)
  else
    call('RPUSH', q .. 'wait', id)
  end
  wake_queue(q)
  call('XADD', q .. 'events', '*', 'event', 'waiting', 'jobId', id, 'prev', 'waiting-children')
end

local function free(q, id)
  if call('EXISTS', q .. id) == 1 and call('ZREM', q .. 'waiting-children', id) == 1 then
    parent_runs(q, id)
  end
end

local function free_when_last(q, id)
  if call('EXISTS', q .. id .. ':dependencies') == 0 then
    free(q, id)
  end
end

-- A parent that fails with its child: `defa` makes the worker that takes it fail it.
local function fail_parent(q, id, child)
  local parent = q .. id
  call('ZADD', parent .. ':unsuccessful', now, child)
  if call('EXISTS', parent) == 0 then
    return
  end
  local reason = 'child ' .. child .. ' failed'
  if call('ZREM', q .. 'waiting-children', id) == 1 then
    call('HSET', parent, 'defa', reason)
    parent_runs(q, id)
  elseif call('ZREM', q .. 'delayed', id) == 1 then
    call('HSET', parent, 'delay', '0', 'defa', reason)
    parent_runs(q, id)
  elseif not call('ZSCORE', q .. 'failed', id) then
    call('HSET', parent, 'defa', reason)
  end
end
