--- @include base
-- Whether a worker holds the job or a pending one below it.
local function is_held(job, deep, seen)
  if call('EXISTS', job .. ':lock') == 1 then
    return true
  end
  seen[job] = true
  for _, child in ipairs(deep and call('SMEMBERS', job .. ':dependencies') or {}) do
    if not seen[child] and is_held(child, deep, seen) then
      return true
    end
  end
  return false
end
