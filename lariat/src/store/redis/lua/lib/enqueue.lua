--- @include events
--- @include marker
--- @include priority
--- @include delayed
-- Where a new job goes. Ids are collected, and pushed at once.
local newest, next_up, ranked, ranks, timed, last_score = {}, {}, {}, {}, {}, {}

-- `say` announces it. A delay wins over a priority; a priority over `lifo`.
local function enqueue(id, timestamp, delay, priority, lifo, say)
  if delay > 0 then
    local due, n = timestamp + delay, #timed
    last_score[due] = delayed_score(due, last_score[due])
    timed[n + 1], timed[n + 2] = last_score[due], id
    say('delayed', 'jobId', id, 'delay', due)
    return
  end
  if priority > 0 then
    local n = #ranked + 1
    ranked[n], ranks[n] = id, priority
  else
    local side = lifo and next_up or newest
    side[#side + 1] = id
  end
  say('waiting', 'jobId', id)
end

local function write_enqueued()
  if #newest > 0 then
    call('LPUSH', base .. 'wait', unpack(newest))
  end
  if #next_up > 0 then
    call('RPUSH', base .. 'wait', unpack(next_up))
  end
  if #ranked > 0 then
    prioritize(ranked, ranks)
  end
  if #newest + #next_up + #ranked > 0 and not paused_or_maxed() then
    wake()
  end
  if #timed > 0 then
    call('ZADD', base .. 'delayed', unpack(timed))
    mark_next_delayed()
  end
  newest, next_up, ranked, ranks, timed, last_score = {}, {}, {}, {}, {}, {}
end
