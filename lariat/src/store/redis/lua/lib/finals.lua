--- @include retention
-- The final sets. Members of one call with one retention rule are written at once, and the rule is applied once.
local finals, final_rule = { completed = {}, failed = {} }, {}

local function write_final(set)
  local members = finals[set]
  if #members > 0 then
    finals[set] = {}
    call('ZADD', base .. set, unpack(members))
    if final_rule[set] ~= '' then
      guarded(set, retain, set, final_rule[set], #members / 2)
    end
  end
end

local function add_final(set, id, rule, now)
  if final_rule[set] ~= rule then
    write_final(set)
    final_rule[set] = rule
  end
  local members = finals[set]
  local n = #members
  members[n + 1], members[n + 2] = now, id
end

local function write_finals()
  write_final('completed')
  write_final('failed')
end
