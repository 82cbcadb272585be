--- @include remove
--- @include guarded
-- Removes finished jobs that a rule no longer keeps. A rule is `count age limit`, age in seconds, `-` for none. `n` jobs
-- have just been added under it. At most 1000 go by age and 1000 by count at a time, so that a rule that comes late
-- does not hold the server; what is left goes with the next finishes.
local function retain(set, rule, n)
  local key = base .. set
  local count, age, limit = string.match(rule, '^(%S+) (%S+) (%S+)$')
  count, age, limit = tonumber(count), tonumber(age), tonumber(limit) or 1000
  if age then
    local cut = now - age * 1000
    local most = math.min(limit * n, 1000)
    local ids = call('ZREVRANGEBYSCORE', key, cut, '-inf', 'LIMIT', '0', most)
    remove_jobs(ids)
    if #ids > 0 then
      call('ZREM', key, unpack(ids))
    end
  end
  if count and count > 0 then
    local over = call('ZCARD', key) - count
    if over > 0 then
      local last = math.min(over, 1000) - 1
      remove_jobs(call('ZREVRANGE', key, -last - 1, '-1')) -- the newest first: the order in which parents are freed
      call('ZREMRANGEBYRANK', key, '0', last)
    end
  end
end

-- A finished job of which nothing is kept. Its parent cannot wait for a job that is gone, also where a failure without a
-- flag has not told it.
local function keep_none(id, job, parent)
  if parent then
    guarded(id, unlink, job, parent)
  end
  remove_records({ id })
end
