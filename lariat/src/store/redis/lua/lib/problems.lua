--- @include base
-- Damage met on the way, which must not stop the rest: reported with the id that it is about.
local problems = {}

local function words_of(err)
  return type(err) == 'table' and err.err or tostring(err)
end

local function report(id, why)
  problems[#problems + 1] = { id, why }
end

-- Runs a step that touches more than the job itself.
local function guarded(id, step, ...)
  local ok, err = pcall(step, ...)
  if not ok then
    report(id, words_of(err))
  end
end
