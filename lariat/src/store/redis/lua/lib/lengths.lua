--- @include base
-- Entries of a list, without the marker that versions before 5 put at the right end.
local function length_of(list)
  local n = call('LLEN', list)
  local last = n > 0 and call('LINDEX', list, '-1') or ''
  return string.sub(last, 1, 2) == '0:' and n - 1 or n
end

-- Ready jobs without priority, those included that older clients put aside.
local function waiting()
  return length_of(base .. 'wait') + length_of(base .. 'paused')
end
