--- @include base
-- A lane's last call and its answer, so that a repeat has no second effect. KEYS[2] is the lane; ARGV[1] the call's
-- number, 16 digits, so that text compares as numbers do. The record, which the script has read as `recorded`, is that
-- number and then the answer.
-- Sets `how` to `new`, `stale`, or `known` with the answer in `recorded`.
local lane, number, how = KEYS[2], ARGV[1], 'new'
if recorded then
  local last = string.sub(recorded, 1, 16)
  if last == number then
    how, recorded = 'known', string.sub(recorded, 17)
  elseif number < last then
    how = 'stale'
  end
end
