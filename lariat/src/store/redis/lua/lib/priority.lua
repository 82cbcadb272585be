--- @include base
-- Scores of prioritized jobs: the priority above a counter of arrivals.
local prioritized = base .. 'prioritized'

-- Adds ids with their priorities, in the order of arrival.
local function prioritize(ids, priorities)
  local n = #ids
  local last = call('INCRBY', base .. 'pc', n)
  local members = {}
  for i = 1, n do
    members[2 * i - 1] = priorities[i] * 4294967296 + (last - n + i) % 4294967296
    members[2 * i] = ids[i]
  end
  call('ZADD', prioritized, unpack(members))
end
