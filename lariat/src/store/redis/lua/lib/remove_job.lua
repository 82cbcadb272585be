--- @include emit_in
--- @include queue
--- @include take_out
--- @include held_below
-- Deletes a job wherever it is, and with `deep` the jobs below it, which may be in other queues.
local gone = {}

local function queue_and_id(key)
  if string.sub(key, 1, #base) == base then
    return base, string.sub(key, #base + 1)
  end
  return split_key(key)
end

local remove_below

local function remove_from(q, id, parent, deep)
  local job = q .. id
  if gone[job] then
    return false
  end
  gone[job] = true
  local record = call('HMGET', job, 'parentKey', 'deid')
  parent = parent or record[1] and call('EXISTS', record[1]) == 1 and record[1]
  if parent then
    unlink(job, parent)
  end
  if deep then
    remove_below(job)
  end
  local state, owned = take_out(q, id), record[2] and q .. 'de:' .. record[2]
  if owned and call('GET', owned) == id then
    call('DEL', owned, q .. 'dn:' .. record[2])
  end
  local deleted = call('DEL', job, job .. ':logs', job .. ':dependencies', job .. ':processed', job .. ':failed',
    job .. ':unsuccessful') > 0
  if deleted then
    emit_in(q, 'removed', 'jobId', id, 'prev', state or 'unknown')
  end
  return deleted or state
end

remove_below = function(job)
  local children = { call('HKEYS', job .. ':processed'), call('HKEYS', job .. ':failed'),
    call('ZRANGE', job .. ':unsuccessful', '0', '-1'), call('SMEMBERS', job .. ':dependencies') }
  for _, keys in ipairs(children) do
    for _, key in ipairs(keys) do
      local q, id = queue_and_id(key)
      if q then
        remove_from(q, id, job, true)
      end
    end
  end
end

local function remove_job(id, deep)
  local job = base .. id
  local scheduler = call('HGET', job, 'rjk')
  local next_run = scheduler and call('ZSCORE', base .. 'repeat', scheduler)
  if next_run and id == 'repeat:' .. scheduler .. ':' .. next_run then
    return -8
  elseif is_held(job, deep, {}) then
    return -6
  end
  return remove_from(base, id, nil, deep) and 0 or -1
end
