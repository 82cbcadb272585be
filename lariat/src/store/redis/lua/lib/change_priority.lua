--- @include outcome
--- @include marker
--- @include priority
-- A job that is ready goes to its new place; in any other state only the record changes.
local function is_taken_from(id)
  if call('ZREM', prioritized, id) == 1 or call('LREM', base .. 'wait', '-1', id) == 1 then
    return 'wait'
  end
  return call('LREM', base .. 'paused', '-1', id) == 1 and 'paused'
end

local function change_priority(id, priority, first)
  check_queue()
  call('LLEN', base .. 'paused')
  local list = is_taken_from(id)
  if list and priority > 0 and first then
    call('ZADD', prioritized, priority * 4294967296, id)
  elseif list then
    if priority > 0 then
      prioritize({ id }, { priority })
    else
      call(first and 'RPUSH' or 'LPUSH', base .. list, id)
    end
    if not paused_or_maxed() then
      wake()
    end
  end
  call('HSET', base .. id, 'priority', priority)
  return 0
end
