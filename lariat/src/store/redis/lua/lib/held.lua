--- @include base
-- Letting go of jobs whose outcomes came in. Their locks have been read at once, and are dropped at once. Finished jobs
-- are mostly the oldest entries of `active`, so for many of them its tail is read once, and written once without them; an
-- id that is not there is looked for one by one. `n` outcomes; the i-th has its lock at `i + 1` of `locks` and `watched`.
local active, many, tail, place_in_tail, deepest = base .. 'active', n > 3, nil, nil, nil
if many then
  tail, place_in_tail = call('LRANGE', active, -2 * n - 16, '-1'), {}
  for place = 1, #tail do
    place_in_tail[tail[place]] = place
  end
end
local let_go_keys, let_go_ids, gone = {}, {}, {}

-- 0, or a refusal, which leaves everything as it was. Token `0` means work without locks.
local function let_go(i, id, token)
  local lock = not gone[id] and locks[i + 1] -- it goes with the first outcome of a job that has several in one call
  if lock ~= token and token ~= '0' then
    return lock and -6 or -2
  end
  local place = tail and place_in_tail[id]
  if place then
    place_in_tail[id], tail[place] = false, false
    deepest = deepest and place > deepest and deepest or place
  elseif tail and place == false or call('LREM', active, '-1', id) == 0 then
    return -3
  end
  if token ~= '0' then
    gone[id] = true
    let_go_keys[#let_go_keys + 1], let_go_ids[#let_go_ids + 1] = watched[i + 1], id
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
