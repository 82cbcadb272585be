--- What a worker hands in and takes, in one call.
---
--- KEYS 1 the queue's base key with its colon   2 the lane's record
--- ARGV 1 number of the call in its lane, 16 digits   2 now, ms   3 lock duration, ms   4 jobs wanted
---      5 lane base and a colon: beginning of the tokens   6 first number of the tokens   7 worker's name, or empty
---      8, 9 the worker's own rate limit: most, window in ms, or empty   10 points of metrics, or empty
---      11 `1`: a closing worker may have popped a marker: restore it
---      then six for each outcome: kind, id, token, value, rule, more (see the transitions)
--- Reply: MessagePack values one after the other: `new`, `known` or `stale`; verdicts (the number of outcomes where all
---      are 0, else an array of 0 accepted, 1 resume, < 0 BullMQ's refusal, or text); problems (array of id and words);
---      hint; its value or nil; how many jobs; the jobs (see taken.lua)
--- Errors: those of the first write (no memory, read only); later ones cost one outcome, or are told as problems.
--- Writes: wait active prioritized pc delayed waiting-children completed failed stalled limiter marker events id meta
---      metrics:* de:* dn:*, the jobs and their locks, their parents wherever they are, the lane's record
--- Events: active completed failed retries-exhausted waiting delayed waiting-children added drained
--- Agrees with BullMQ's moveToFinished, moveToActive, retryJob, moveToDelayed, moveToWaitingChildren, moveJobFromActiveToWait
--- @include lane
--- @include finish
--- @include retry
--- @include delay
--- @include wait_for_children
--- @include put_back
--- @include take
--- @include metrics
--- @include ask_again

local HEAD, EACH = 11, 6
local transitions = {
  complete = finish, fail = finish, retry = retry, backoff = delay, delay = delay, children = wait_for_children,
  back = put_back,
}
local now, want = ARGV[2], tonumber(ARGV[4])
local lease = { life = ARGV[3], token = ARGV[5], first = tonumber(ARGV[6]), worker = ARGV[7] }

local how, recorded = recall()
if how == 'known' then
  return ask_again(recorded, lease)
elseif how == 'stale' then
  return pack(how, 0, {}, 'again', nil, 0)
end

local items, verdicts, all_accepted, last_to_leave = {}, {}, true, nil
for at = HEAD + 1, #ARGV, EACH do
  local id = ARGV[at + 1]
  items[#items + 1] = {
    kind = ARGV[at], id = id, key = base .. id, token = ARGV[at + 2], value = ARGV[at + 3], rule = ARGV[at + 4],
    more = ARGV[at + 5],
  }
end

if #items > 0 then
  call('DEL', lane) -- a first write that needs no memory: what follows may free some, and is allowed from here on
  read_locks(items)
  look_for_children(items)
  if #items > 3 then
    read_tail(2 * #items + 16)
  end
  for i = 1, #items do
    local item = items[i]
    local ok, verdict = pcall(transitions[item.kind], item, now)
    verdict = ok and verdict or words_of(verdict)
    verdicts[i] = verdict
    if verdict == 0 then
      last_to_leave = item.kind
    else
      all_accepted = false
    end
  end
  write_let_go()
  write_finals()
  local points = tonumber(ARGV[10])
  if points and points > 0 then
    for set, n in pairs(ended) do
      if n > 0 then
        guarded(set, count_ended, set, n, points, now)
      end
    end
  end
end

local hint, value = 'again', nil
if want > 0 then
  read_limit(ARGV[8], ARGV[9])
  local ok
  ok, hint, value = pcall(take, want, now, lease)
  if not ok then
    report(base, words_of(hint))
    hint = 'wait'
  end
end
if ARGV[11] == '1' then
  wake_wanted, delay_wanted = true, true
end
write_markers(#taken > 0)
if (last_to_leave == 'complete' or last_to_leave == 'fail') and (want == 0 or hint == 'wait') and #taken == 0
  and not has_work() and call('LLEN', active) == 0 then
  emit('drained')
end

local verdict = all_accepted and #verdicts or verdicts
remember(pack(verdict, problems, lease.first, taken), lease.life)
return pack('new', verdict, problems, hint, value, #taken) .. table.concat(answers)
