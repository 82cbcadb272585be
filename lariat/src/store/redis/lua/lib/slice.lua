--- @include base
-- Ids of one state, `n` behind the first `from`, in the order in which they run or came, or the reverse.

-- The right end of a list is its beginning.
local function slice_of_list(key, from, n, oldest_first)
  if not oldest_first then
    return call('LRANGE', key, from, from + n - 1)
  end
  local found, ids = call('LRANGE', key, -from - n, -from - 1), {}
  for i = #found, 1, -1 do
    ids[#ids + 1] = found[i]
  end
  return ids
end

-- What older clients put aside in `paused` is to run before what is in `wait`.
local function slice_of_waiting(from, n, oldest_first)
  local ids, lists = {}, oldest_first and { 'paused', 'wait' } or { 'wait', 'paused' }
  for _, name in ipairs(lists) do
    local key = base .. name
    local length = call('LLEN', key)
    if from < length and #ids < n then
      for _, id in ipairs(slice_of_list(key, from, n - #ids, oldest_first)) do
        ids[#ids + 1] = id
      end
    end
    from = math.max(from - length, 0)
  end
  return ids
end

local function slice(state, from, n, oldest_first)
  if state == 'waiting' then
    return slice_of_waiting(from, n, oldest_first)
  elseif state == 'active' then
    return slice_of_list(base .. 'active', from, n, oldest_first)
  end
  return call(oldest_first and 'ZRANGE' or 'ZREVRANGE', base .. state, from, from + n - 1)
end
