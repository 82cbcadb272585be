--- What a worker hands in and takes, in one call.
---
--- KEYS 1 the queue's base key with its colon   2 the lane's record
--- ARGV 1 number of the call in its lane, 16 digits   2 now, ms   3 lock duration, ms   4 jobs wanted
---      5 lane base and a colon: beginning of the tokens   6 first number of the tokens   7 worker's name, or empty
---      8, 9 the worker's own rate limit: most, window in ms, or empty   10 points of metrics, or empty
---      11 `1`: a closing worker may have popped a marker: restore it   12 highest score in `delayed` that is due now
---      then six for each outcome: kind, id, token, value, rule, more (see the transitions)
--- Reply: MessagePack values one after the other: `new`, `known` or `stale`; verdicts (the number of outcomes where all
---      are 0, else an array of 0 accepted, 1 resume, < 0 BullMQ's refusal, or text); problems (array of id and words);
---      hint; its value or nil; how many jobs; for each its place in the call, its id, and its record as
---      an array of fields and values
--- Errors: those of the first write (no memory, read only); later ones cost one outcome, or are told as problems
--- Writes: wait active prioritized pc delayed waiting-children completed failed stalled limiter marker events id meta
---      metrics:* de:* dn:*, the jobs and their locks, their parents wherever they are, the lane's record
--- Events: active completed failed retries-exhausted waiting delayed waiting-children added drained
--- Agrees with BullMQ's moveToFinished, moveToActive, retryJob, moveToDelayed, moveToWaitingChildren, moveJobFromActiveToWait
--- @include base
local HEAD, EACH = 12, 6
local n = (#ARGV - HEAD) / EACH
local watched = { KEYS[2] } -- the lane's record, and the locks of the jobs
for i = 1, n do
  watched[i + 1] = base .. ARGV[HEAD + EACH * i - 4] .. ':lock'
end
local locks = call('MGET', unpack(watched))
local recorded = locks[1]
--- @include lane
if how == 'stale' then
  return pack(how, 0, {}, 'again', nil, 0)
end
local now, lock_life, want, token_base, first_token = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local jobs, ready = {}, ARGV[12]
if how == 'known' then
  --- @include ask_again
  return pack(how, verdict, problems, 'again', nil, #jobs / 3, unpack(jobs))
end

local problems, wake_wanted, delay_wanted, seldom = {}, ARGV[11] == '1', ARGV[11] == '1', nil
--- @include settings
--- @include finish
--- @include take
--- @include seldom

local verdicts, all_accepted, last_to_leave = {}, true, nil
-- The first write must be one that needs no memory: what follows may free some, and is allowed from there on. Of a few
-- outcomes it is the LREM of the first that is accepted; where it may be another one, it is this DEL.
if many then
  call('DEL', lane)
end
for i = 1, n do
  local at = HEAD + EACH * (i - 1)
  local kind, id, token, value = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local completed, ok, verdict = kind == 'complete', nil, nil
  if completed or kind == 'fail' then
    ok, verdict = pcall(finish, i, id, token, value, ARGV[at + 5], ARGV[at + 6], completed)
  else
    if many then
      write_finals()
    end
    ok, verdict = pcall(seldom()[kind], i, id, token, value, ARGV[at + 5], ARGV[at + 6])
  end
  verdicts[i] = ok and verdict or type(verdict) == 'table' and verdict.err or tostring(verdict)
  if verdicts[i] == 0 then
    last_to_leave = kind
  else
    all_accepted = false
  end
end
if not last_to_leave then
  call('DEL', lane)
end
if many then
  write_active()
  write_finals()
end
if let_go_ids[1] then
  call('DEL', unpack(let_go_keys))
  try('SREM', base .. 'stalled', unpack(let_go_ids))
end
local points = tonumber(ARGV[10])
if points and points > 0 then
  for set, count in pairs(ended) do
    seldom().guarded(set, seldom().count_ended, set, count, points)
  end
end

local ok, hint, value = true, 'again', nil
if want > 0 then
  if not last_to_leave then
    call('LLEN', active) -- of another type: an error before anything is taken
  end
  ok, hint, value = pcall(take, want)
  if not ok then
    problems[#problems + 1] = { base, type(hint) == 'table' and hint.err or tostring(hint) }
    hint = 'wait'
  end
end

local activated = #taken > 0
local finished_last = (last_to_leave == 'complete' or last_to_leave == 'fail') and (want == 0 or hint == 'wait')
if activated or wake_wanted or finished_last then
  local has_work = call('LLEN', base .. 'wait') > 0 or call('ZCARD', base .. 'prioritized') > 0
  if has_work and (activated or wake_wanted and not seldom().paused_or_maxed()) then
    try('ZADD', base .. 'marker', '0', '0')
  elseif finished_last and not activated and not has_work and call('LLEN', active) == 0 then
    try('XADD', events, '*', 'event', 'drained')
  end
end
if delay_wanted then
  seldom().mark_next_delayed()
end

local verdict = all_accepted and n or verdicts
local record
if all_accepted and not taken[2] and not problems[1] then
  record = taken[1] and '1' .. taken[1] or '0'
else
  record = ':' .. pack(verdict, problems, taken)
end
-- Kept for five minutes at least: a caller that was stopped for longer than its locks last (a blocked runtime, a
-- suspended machine) still learns what became of its call.
call('SET', lane, number .. record, 'PX', tonumber(lock_life) > 300000 and lock_life or '300000')
return pack('new', verdict, problems, hint, value, #taken, unpack(jobs))
