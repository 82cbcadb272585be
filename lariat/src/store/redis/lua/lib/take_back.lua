--- @include held
-- A job that was just let go of stays as it was after all, for this reason.
local function take_back(id, err)
  call('RPUSH', active, id)
  if gone[id] then
    gone[id], let_go_keys[#let_go_keys], let_go_ids[#let_go_ids] = nil, nil, nil
  end
  return err
end
