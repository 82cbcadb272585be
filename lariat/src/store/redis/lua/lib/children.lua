--- @include base
-- Most jobs have no children: one look for a whole call says whether any job that is to complete has some.
local maybe_children = {}
for i = 1, n do
  local at = HEAD + EACH * (i - 1)
  if ARGV[at + 1] == 'complete' then
    local job, last = base .. ARGV[at + 2], #maybe_children
    maybe_children[last + 1], maybe_children[last + 2] = job .. ':dependencies', job .. ':unsuccessful'
  end
end
local look_for_children = #maybe_children > 0 and call('EXISTS', unpack(maybe_children)) > 0
