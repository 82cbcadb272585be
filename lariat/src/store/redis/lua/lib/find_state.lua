--- @include base
-- The state that an id is in, or ''.
local in_sets = { 'completed', 'failed', 'delayed', 'prioritized', 'waiting-children' }
local in_lists = { { 'active', 'active' }, { 'wait', 'waiting' }, { 'paused', 'waiting' } }

-- LPOS came with Redis 6.0.6.
local function in_list(key, id)
  local found = try('LPOS', key, id)
  if type(found) ~= 'table' then
    return found
  end
  for _, member in ipairs(call('LRANGE', key, '0', '-1')) do
    if member == id then
      return true
    end
  end
  return false
end

local function find_state(id)
  for _, state in ipairs(in_sets) do
    if call('ZSCORE', base .. state, id) then
      return state
    end
  end
  for _, list in ipairs(in_lists) do
    if in_list(base .. list[1], id) then
      return list[2]
    end
  end
  return ''
end
