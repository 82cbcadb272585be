--- Active jobs and who holds them, the longest held first.
---
--- KEYS 1 the queue's base key with its colon
--- ARGV 1 most jobs
--- Reply: for each its id; then as they are stored, or nil: token, name, processedOn, pb; and the lock's life in ms
--- Errors: `active` of another type
--- Writes, events: none
--- BullMQ has no counterpart
--- @include slice

local jobs = {}
for i, id in ipairs(slice('active', 0, tonumber(ARGV[1]), true)) do
  local lock = base .. id .. ':lock'
  local token, record = try('GET', lock), try('HMGET', base .. id, 'name', 'processedOn', 'pb')
  if type(token) == 'table' then
    token = false
  end
  if record.err then
    record = { false, false, false }
  end
  jobs[i] = { id, token, record[1], record[2], record[3], call('PTTL', lock) }
end
return jobs
