--- @include base
-- The job that a change is about. ARGV: id, the token that must hold its lock or empty, now in ms.
local id, token, now = ARGV[1], ARGV[2], tonumber(ARGV[3])
local job = base .. id
local exists = call('EXISTS', job) == 1

-- A refusal, where the token does not hold the lock.
local function refused_for_lock()
  local lock = token ~= '' and call('GET', job .. ':lock')
  if token == '' or lock == token then
    return nil
  end
  return lock and -6 or -2
end
