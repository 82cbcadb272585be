--- @include next_ids
-- Hands out up to `want` jobs, as that many fetches one after the other would. `taken` are the ids that this call has
-- started, in order. Returns a hint and its value: what to do when fewer came than wanted. An id without a record is
-- dropped, and the next one tried. All in one function: each one more costs every call more than a short command does.
local taken, worker = {}, ARGV[7]
local limited = is_paused or most_active or settings[3] or ARGV[8] ~= ''

local function take(want)
  if #call('ZRANGEBYSCORE', base .. 'delayed', '0', ready, 'LIMIT', '0', '1') > 0 then
    seldom().promote()
  end
  local looked, room, why, value = 0, nil, nil, nil
  while #taken < want and looked < want + 256 do
    room = want - #taken
    if limited then
      room, why, value = seldom().allowance(room)
    end
    if room == 0 then
      return why, value
    end
    local ids, moved = next_ids(room)
    if #ids == 0 then
      local first = call('ZRANGE', base .. 'delayed', '0', '0', 'WITHSCORES')
      return first[2] and 'due' or 'wait', first[2] and math.floor(tonumber(first[2]) / 4096)
    end
    looked = looked + #ids
    local started, counted = {}, 0
    for i = 1, #ids do
      local id, job = ids[i], base .. ids[i]
      local record = try('HGETALL', job)
      local length, place = #record, #taken
      if length == 0 then
        seldom().drop(id, record.err, moved)
      else
        local starts, counts = '1', 1
        for at = 1, length, 2 do
          local field = record[at]
          if field == 'ats' then
            starts = string.format('%d', (tonumber(record[at + 1]) or 0) + 1)
          elseif field == 'defa' then -- it will fail at once, and does not count for the rate limit
            counts = 0
          end
        end
        local run = place == 0 and ARGV[6] or first_token + place
        call('SET', job .. ':lock', token_base .. run, 'PX', lock_life)
        try('XADD', events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
        if worker == '' then
          call('HSET', job, 'processedOn', now, 'ats', starts)
        else
          call('HSET', job, 'processedOn', now, 'ats', starts, 'pb', worker)
        end
        taken[place + 1], started[#started + 1] = id, id
        jobs[3 * place + 1], jobs[3 * place + 2], jobs[3 * place + 3] = place, id, record
        counted = counted + counts
      end
    end
    if started[1] and not moved then
      call('LPUSH', active, unpack(started))
    end
    if limited then
      seldom().count_started(counted)
    end
  end
  return 'again'
end
