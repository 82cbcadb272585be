--- @include base
-- Members that a key names; none where it is damaged.
local function members_of(command, key, ...)
  local members = try(command, key, ...)
  return members.err and {} or members
end

-- Whether a worker holds the job or, with `deep`, a pending one below it.
local function is_held(job, deep, seen)
  if call('EXISTS', job .. ':lock') == 1 then
    return true
  end
  seen[job] = true
  for _, child in ipairs(deep and members_of('SMEMBERS', job .. ':dependencies') or {}) do
    if not seen[child] and is_held(child, deep, seen) then
      return true
    end
  end
  return false
end
