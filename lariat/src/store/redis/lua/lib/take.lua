--- @include promote
--- @include allowance
--- @include next_ids
--- @include taken
--- @include problems
-- Hands out up to `want` jobs, as that many fetches one after the other would. Returns their ids and a hint: what to do
-- when fewer came than wanted.
local taken = {}

-- Activates one id; returns whether it became active, and whether it counts for the rate limit. An id without a record
-- is dropped here: it has left its list already.
local function activate(id, now, lease)
  local job = base .. id
  local record = try('HGETALL', job)
  if record.err or #record == 0 then
    if string.sub(id, 1, 2) ~= '0:' then -- that would be a marker of BullMQ before 5
      report(id, record.err or 'there is no such job')
    end
    return false
  end
  local starts, counts = '1', true
  for i = 1, #record, 2 do
    if record[i] == 'ats' then
      starts = string.format('%d', (tonumber(record[i + 1]) or 0) + 1)
    elseif record[i] == 'defa' then
      counts = false
    end
  end
  local place = #taken
  call('SET', job .. ':lock', lease.token .. lease.first + place, 'PX', lease.life)
  emit('active', 'jobId', id, 'prev', 'waiting')
  if lease.worker == '' then
    call('HSET', job, 'processedOn', now, 'ats', starts)
  else
    call('HSET', job, 'processedOn', now, 'ats', starts, 'pb', lease.worker)
  end
  taken[place + 1] = id
  hand_out(place, id, record)
  return true, counts
end

local function take(want, now, lease)
  promote(now)
  local looked = 0
  while #taken < want and looked < want + 256 do
    local room, why, value = allowance(want - #taken)
    if room == 0 then
      return why, value
    end
    local ids, started, counted = next_ids(room), {}, 0
    if #ids == 0 then
      local first = call('ZRANGE', base .. 'delayed', '0', '0', 'WITHSCORES')
      if first[2] then
        return 'due', math.floor(tonumber(first[2]) / 4096)
      end
      return 'wait'
    end
    looked = looked + #ids
    for i = 1, #ids do
      local active, counts = activate(ids[i], now, lease)
      if active then
        started[#started + 1] = ids[i]
        counted = counted + (counts and 1 or 0)
      end
    end
    if #started > 0 then
      call('LPUSH', base .. 'active', unpack(started))
      count_started(counted)
    end
  end
  return 'again'
end
