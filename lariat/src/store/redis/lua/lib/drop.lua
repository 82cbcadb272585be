--- @include base
-- An id whose turn came but that has no record, or whose key is no hash: it is told, and is gone from the queue.
-- `moved`: it is the newest entry of `active` by now.
local function drop(id, err, moved)
  if moved then
    call('LREM', active, '1', id)
  end
  if string.sub(id, 1, 2) ~= '0:' then -- that would be a marker of BullMQ before 5
    problems[#problems + 1] = { id, err or 'there is no such job' }
  end
end
