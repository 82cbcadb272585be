--- @include events
--- @include taken
--- @include problems
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

