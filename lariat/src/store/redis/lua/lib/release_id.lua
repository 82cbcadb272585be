--- @include store_job
--- @include enqueue
-- The owner of a deduplication id has ended: the id is free again, and the job that was held back meanwhile is added.
local function release_id(owner, did)
  local key, held_key = base .. 'de:' .. did, base .. 'dn:' .. did
  local life = call('PTTL', key)
  if life == 0 or (life == -1 and call('GET', key) == owner) then
    call('DEL', key)
  end
  local held = call('HMGET', held_key, 'name', 'data', 'opts', 'jid', 'pk', 'pd', 'pdk', 'rjk')
  if not held[1] then
    return
  end
  local counter = call('INCR', base .. 'id')
  local id = held[4] or tostring(counter)
  local opts = cjson.decode(held[3] or '{}')
  local dedup = type(opts.de) == 'table' and opts.de or {}
  local ttl = tonumber(dedup.ttl)
  if ttl and ttl > 0 and not dedup.keepLastIfActive then
    call('SET', key, id, 'PX', ttl)
  else
    call('SET', key, id)
  end
  local more = { 'deid', did }
  if held[5] then
    more = { 'deid', did, 'parentKey', held[5], 'parent', held[6] or '' }
  end
  if held[8] then
    more[#more + 1], more[#more + 2] = 'rjk', held[8]
  end
  local delay, priority = tonumber(opts.delay) or 0, tonumber(opts.priority) or 0
  store_job(id, held[1], held[2] or '{}', held[3] or '{}', now, delay, priority, unpack(more))
  enqueue(id, now, delay, priority, opts.lifo, emit_trimmed)
  write_enqueued()
  if held[7] then
    call('SADD', held[7], base .. id)
  end
  call('DEL', held_key)
end
