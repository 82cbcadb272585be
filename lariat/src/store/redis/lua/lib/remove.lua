--- @include queue
-- Deletes jobs of this queue with all that belongs to them.
local function remove_records(ids)
  local keys = {}
  for i = 1, #ids do
    local job, n = base .. ids[i], #keys
    keys[n + 1], keys[n + 2], keys[n + 3] = job, job .. ':logs', job .. ':dependencies'
    keys[n + 4], keys[n + 5], keys[n + 6] = job .. ':processed', job .. ':failed', job .. ':unsuccessful'
    if n > 500 or i == #ids then
      call('DEL', unpack(keys))
      keys = {}
    end
  end
end

-- The same, and no parent waits for them any longer.
local function remove_jobs(ids)
  for i = 1, #ids do
    local job = base .. ids[i]
    local parent = try('HGET', job, 'parentKey')
    if type(parent) == 'string' and parent ~= '' then
      unlink(job, parent)
    end
  end
  remove_records(ids)
end
