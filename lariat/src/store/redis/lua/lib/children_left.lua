--- @include base
-- Why a job must not complete: -4 for children that are pending, -9 for some that failed and fail it too; else 0.
local function children_left(job)
  if call('SCARD', job .. ':dependencies') > 0 then
    return -4
  end
  return call('ZCARD', job .. ':unsuccessful') > 0 and -9 or 0
end
