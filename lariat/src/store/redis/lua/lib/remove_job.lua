--- @include emit_in
--- @include queue
--- @include take_out
--- @include held_below
-- Deletes a job wherever it is, and with `deep` the jobs below it, which may be in other queues. It is also how damaged
-- jobs are got rid of, so damage met on the way is passed over.
local gone = {}

local function queue_and_id(key)
  if string.sub(key, 1, #base) == base then
    return base, string.sub(key, #base + 1)
  end
  return split_key(key)
end

-- A field of a record, or nil.
local function field_of(job, field)
  local value = try('HGET', job, field)
  return type(value) == 'string' and value or nil
end

local remove_below

local function remove_from(q, id, parent, deep)
  local job = q .. id
  if gone[job] then
    return false
  end
  gone[job] = true
  local own_parent, did = field_of(job, 'parentKey'), field_of(job, 'deid')
  parent = parent or own_parent and call('EXISTS', own_parent) == 1 and own_parent
  if parent then
    pcall(unlink, job, parent)
  end
  if deep then
    remove_below(job)
  end
  local state = take_out(q, id)
  if did and try('GET', q .. 'de:' .. did) == id then
    call('DEL', q .. 'de:' .. did, q .. 'dn:' .. did)
  end
  local deleted = call('DEL', job, job .. ':logs', job .. ':dependencies', job .. ':processed', job .. ':failed',
    job .. ':unsuccessful') > 0
  if deleted then
    emit_in(q, 'removed', 'jobId', id, 'prev', state or 'unknown')
  end
  return deleted or state
end

remove_below = function(job)
  local children = { members_of('HKEYS', job .. ':processed'), members_of('HKEYS', job .. ':failed'),
    members_of('ZRANGE', job .. ':unsuccessful', '0', '-1'), members_of('SMEMBERS', job .. ':dependencies') }
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
  local scheduler = field_of(job, 'rjk')
  local next_run = scheduler and try('ZSCORE', base .. 'repeat', scheduler)
  if type(next_run) == 'string' and id == 'repeat:' .. scheduler .. ':' .. next_run then
    return -8
  elseif is_held(job, deep, {}) then
    return -6
  end
  return remove_from(base, id, nil, deep) and 0 or -1
end
