--- One slice of the search for stalled jobs: first active jobs that the last search suspected and that have no lock are
--- put back, then all that are active are suspected.
---
--- KEYS 1 the queue's base key with its colon   2 the suspects of this search, ours alone
--- ARGV 1 now, ms   2 how often a job may stall   3 interval, ms   4 phase, empty for a new search   5 entries at the
---      end of `active` that the search has passed   6 most entries to look at
--- Reply: the next phase, empty when done; entries passed; ids put back
--- Errors: a key of another type
--- Writes: stalled-check stalled active wait marker events meta, the stalled jobs, the suspects
--- Events: waiting stalled
--- Agrees with BullMQ's moveStalledJobsToWait
--- @include put_back_stalled
--- @include marker

local suspects, active, stalled = KEYS[2], base .. 'active', base .. 'stalled'
local phase, passed, most = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])

if phase == '' then
  if not call('SET', base .. 'stalled-check', ARGV[1], 'PX', ARGV[3], 'NX') then
    return { '', 0, {} }
  end
  try('XTRIM', base .. 'events', 'MAXLEN', '~', events_kept())
  try('UNLINK', suspects) -- left by a search that was not ended
  if call('EXISTS', stalled) == 1 then
    call('RENAME', stalled, suspects)
    call('PEXPIRE', suspects, '600000')
    phase = 'search'
  else
    phase = 'suspect'
  end
end

local ids = {}
if phase == 'search' then
  call('LLEN', base .. 'wait')
  local window = call('LRANGE', active, -(passed + most), -(passed + 1))
  local looked, left
  ids, looked, left = put_back_stalled(window, passed, suspects, tonumber(ARGV[2]))
  if #ids > 0 and not paused_or_maxed() then
    wake()
  end
  if looked == most or looked < #window then
    return { phase, passed + left, ids }
  end
  try('UNLINK', suspects)
  phase, passed = 'suspect', 0
  if looked + call('LLEN', active) > most then
    return { phase, passed, ids }
  end
end

local window = call('LRANGE', active, -(passed + most), -(passed + 1))
for from = 1, #window, 1000 do
  call('SADD', stalled, unpack(window, from, math.min(from + 999, #window)))
end
if #window == most then
  return { phase, passed + most, ids }
end
return { '', 0, ids }
