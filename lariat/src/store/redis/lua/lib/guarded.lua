--- @include base
-- Runs a step that touches more than the job itself: damage that it meets there must not stop the rest. It is reported,
-- with the id that it is about.
local function guarded(id, step, ...)
  local ok, err = pcall(step, ...)
  if not ok then
    problems[#problems + 1] = { id, type(err) == 'table' and err.err or tostring(err) }
  end
end
