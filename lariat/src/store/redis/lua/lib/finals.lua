--- @include base
-- The final sets. Members that one call adds under one retention rule are written at once, and the rule is applied once.
local finals, final_rule, final_checked, ended = {}, {}, {}, {}

local function write_final(set)
  local members = finals[set]
  finals[set] = nil
  if members then
    call('ZADD', base .. set, unpack(members))
    if final_rule[set] ~= '' then
      local steps = seldom()
      steps.guarded(set, steps.retain, set, final_rule[set], #members / 2)
    end
  end
end

-- The scores and members to be written under this rule.
local function final_members(set, rule)
  if final_rule[set] ~= rule then
    write_final(set)
    final_rule[set] = rule
  end
  finals[set] = finals[set] or {}
  return finals[set]
end
