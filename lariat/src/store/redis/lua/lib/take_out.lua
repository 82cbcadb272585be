--- @include base
-- Takes an id out of the state that it is in, in the queue with the base key `q`. Returns the key's name, or nil. A key
-- of another type holds no ids.
local sets_that_hold = { 'completed', 'waiting-children', 'delayed', 'failed', 'prioritized' }
local lists_that_hold = { 'wait', 'paused', 'active' }

local function take_out(q, id)
  for _, name in ipairs(sets_that_hold) do
    if try('ZREM', q .. name, id) == 1 then
      return name
    end
  end
  for _, name in ipairs(lists_that_hold) do
    local removed = try('LREM', q .. name, '0', id)
    if type(removed) == 'number' and removed > 0 then
      return name
    end
  end
  return nil
end
