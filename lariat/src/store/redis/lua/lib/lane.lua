--- @include base
-- A lane's last call and its answer, so that a repeat has no second effect. KEYS[2] is the lane; ARGV[1] the call's
-- number, 16 digits, so that text compares as numbers do. The record is that number and then the answer.
local lane, number = KEYS[2], ARGV[1]

-- Returns 'new', or 'stale', or 'known' and the recorded answer.
local function recall()
  local record = call('GET', lane)
  if not record then
    return 'new'
  end
  local last = string.sub(record, 1, 16)
  if last == number then
    return 'known', string.sub(record, 17)
  end
  return number < last and 'stale' or 'new'
end

-- Kept for the life of the locks, and for five minutes at least: a caller that was stopped for longer than its locks
-- last (a blocked runtime, a suspended machine) still learns what became of its call.
local function remember(answer, life)
  call('SET', lane, number .. answer, 'PX', math.max(tonumber(life), 300000))
end
