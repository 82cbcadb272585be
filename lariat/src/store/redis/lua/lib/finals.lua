--- @include base
-- The final sets in a call with many outcomes. Members that it adds under one retention rule are written at once, and
-- the rule is applied once.
local finals, final_rule, final_checked = {}, {}, {}

-- An error, before anything is written, where the set is of another type.
check_final = function(set)
  if not final_checked[set] then
    final_checked[set] = call('ZCARD', base .. set)
  end
end

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

note_final = function(set, rule, id)
  if final_rule[set] ~= rule then
    write_final(set)
    final_rule[set] = rule
  end
  local members = finals[set] or {}
  finals[set] = members
  members[#members + 1] = now
  members[#members + 1] = id
end

-- What a rule removes may free a parent: before an outcome that moves jobs too, so that they stand in the right order.
write_finals = function()
  write_final('completed')
  write_final('failed')
end
