--- @include events
--- @include marker
--- @include priority
-- Moves jobs whose time has come from `delayed` to where they run from; at most 1000 at a time, the earliest first.
local function promote()
  local key = base .. 'delayed'
  local ids = call('ZRANGEBYSCORE', key, '0', ready, 'LIMIT', '0', '1000')
  if #ids == 0 then
    return
  end
  call('ZREM', key, unpack(ids))
  local plain, ranked, ranks = {}, {}, {}
  for _, id in ipairs(ids) do
    local job = base .. id
    local found = try('HGET', job, 'priority')
    local priority = type(found) == 'string' and tonumber(found) or 0
    if priority > 0 then
      ranked[#ranked + 1], ranks[#ranks + 1] = id, priority
    else
      plain[#plain + 1] = id
    end
    emit('waiting', 'jobId', id, 'prev', 'delayed')
    if found or call('EXISTS', job) == 1 then -- else a ghost; taking it will drop it
      try('HSET', job, 'delay', '0')
    end
  end
  if #plain > 0 then
    call('LPUSH', base .. 'wait', unpack(plain))
  end
  if #ranked > 0 then
    prioritize(ranked, ranks)
  end
  if not paused_or_maxed() then
    wake()
  end
end
