--- @include events
-- Of the entries of `active` in `window`, the suspects without a lock go back to the front of the queue. They are
-- overwritten in place and then removed together, which costs no walk over the list for each.
local GONE, MOST_PUT_BACK = '\0gone', 100

-- How often the job has stalled now; nil where there is no such job. One that stalls too often is to fail when it is
-- taken next, unless a scheduler goes on with it.
local function count_stalled(job, most)
  local found = call('HMGET', job, 'stc', 'rjk', 'ats')
  if not found[1] and not found[3] and call('EXISTS', job) == 0 then
    return nil
  end
  local times, scheduler = (tonumber(found[1]) or 0) + 1, found[2]
  local scheduled = scheduler
    and (call('EXISTS', base .. 'repeat:' .. scheduler) == 1 or call('ZSCORE', base .. 'repeat', scheduler))
  if times > most and not scheduled then
    call('HSET', job, 'stc', times, 'defa', 'job stalled more than allowable limit')
  else
    call('HSET', job, 'stc', times)
  end
  return times
end

-- `passed` entries lie behind the window. Returns the ids put back, how many entries were looked at, and how many of
-- those stay.
local function put_back_stalled(window, passed, suspects, most)
  local ids, looked, gone, active = {}, 0, 0, base .. 'active'
  while looked < #window and #ids < MOST_PUT_BACK do
    local id = window[#window - looked]
    looked = looked + 1
    if call('SISMEMBER', suspects, id) == 1 then
      local job, old_marker = base .. id, string.sub(id, 1, 2) == '0:'
      if old_marker or call('EXISTS', job .. ':lock') == 0 then
        call('LSET', active, -passed - looked, GONE)
        gone = gone + 1
        if not old_marker and count_stalled(job, most) then
          ids[#ids + 1] = id
          emit('waiting', 'jobId', id, 'prev', 'active')
          emit('stalled', 'jobId', id)
        end
      end
    end
  end
  if gone > 0 then
    call('LREM', active, -gone, GONE)
  end
  if #ids > 0 then
    call('RPUSH', base .. 'wait', unpack(ids))
  end
  return ids, looked, looked - gone
end
