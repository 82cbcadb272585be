--- @include taken
-- What one job's start writes. `taken` are the ids that this call has started, in order.
local taken, worker = {}, ARGV[7]

-- Makes one id active; returns whether it could, and whether it counts for a rate limit.
local function activate(id)
  local job = base .. id
  local record = try('HGETALL', job)
  local length = #record
  if length == 0 then
    if string.sub(id, 1, 2) ~= '0:' then -- that would be a marker of BullMQ before 5
      problems[#problems + 1] = { id, record.err or 'there is no such job' }
    end
    return false
  end
  local starts, counts, place = '1', true, #taken
  for i = 1, length, 2 do
    if record[i] == 'ats' then
      starts = string.format('%d', (tonumber(record[i + 1]) or 0) + 1)
    elseif record[i] == 'defa' then
      counts = false
    end
  end
  call('SET', job .. ':lock', token_base .. first_token + place, 'PX', lock_life)
  try('XADD', events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
  if worker == '' then
    call('HSET', job, 'processedOn', now, 'ats', starts)
  else
    call('HSET', job, 'processedOn', now, 'ats', starts, 'pb', worker)
  end
  taken[place + 1] = id
  hand_out(place, id, record)
  return true, counts
end
