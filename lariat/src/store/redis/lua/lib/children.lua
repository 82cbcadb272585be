--- @include base
-- Children of jobs that complete. Most jobs have none: one look for a whole call says so.
local children_possible = true

local function look_for_children(items)
  local keys = {}
  for i = 1, #items do
    local item = items[i]
    if item.kind == 'complete' then
      local n = #keys
      keys[n + 1], keys[n + 2] = item.key .. ':dependencies', item.key .. ':unsuccessful'
    end
  end
  children_possible = #keys > 0 and call('EXISTS', unpack(keys)) > 0
end

-- Called when the call itself may have given a job children.
local function look_again()
  children_possible = true
end

-- 0, or why the job cannot complete: children that have not ended, or that failed.
local function refusal_by_children(job)
  if children_possible then
    if call('SCARD', job .. ':dependencies') > 0 then
      return -4
    elseif call('ZCARD', job .. ':unsuccessful') > 0 then
      return -9
    end
  end
  return 0
end
