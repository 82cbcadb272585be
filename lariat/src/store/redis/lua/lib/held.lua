--- @include base
-- Letting go of jobs whose outcomes came in. All locks are read at once and dropped at once. Finished jobs are mostly the
-- oldest entries of `active`, so for many of them its tail is read once, and written once without them; an id that is not
-- there is looked for one by one. `n` outcomes stand in ARGV after HEAD, EACH values for each.
local active, lock_keys = base .. 'active', {}
for i = 1, n do
  lock_keys[i] = base .. ARGV[HEAD + EACH * i - 4] .. ':lock'
end
local locks = n > 0 and call('MGET', unpack(lock_keys))
local tail, place_in_tail, deepest = n > 3 and call('LRANGE', active, -2 * n - 16, '-1'), {}, nil
if tail then
  for place = 1, #tail do
    place_in_tail[tail[place]] = place
  end
end
local let_go_keys, let_go_ids = {}, {}

-- 0, or a refusal, which leaves everything as it was. Token `0` means work without locks.
local function let_go(i, id, token)
  if locks[i] ~= token and token ~= '0' then
    return locks[i] and -6 or -2
  end
  local place = tail and place_in_tail[id]
  if place then
    place_in_tail[id], tail[place] = false, false
    deepest = deepest and place > deepest and deepest or place
  elseif place == false and tail then
    return -2 -- an outcome of the same job came before this one
  elseif call('LREM', active, '-1', id) == 0 then
    return -3
  end
  if token ~= '0' then
    let_go_keys[#let_go_keys + 1], let_go_ids[#let_go_ids + 1] = lock_keys[i], id
  end
  return 0
end

local function write_let_go()
  if deepest then
    local kept = {}
    for place = deepest, #tail do
      kept[#kept + 1] = tail[place] or nil
    end
    call('LTRIM', active, '0', deepest - #tail - 2)
    if #kept > 0 then
      call('RPUSH', active, unpack(kept))
    end
  end
  tail, deepest = false, nil
  if #let_go_ids > 0 then
    call('DEL', unpack(let_go_keys))
    try('SREM', base .. 'stalled', unpack(let_go_ids))
    let_go_keys, let_go_ids = {}, {}
  end
end
