--- @include base
-- Per-minute counts of ended jobs: `n` more in `set`, keeping `points` minutes.
local function count_ended(set, n, points)
  local key = base .. 'metrics:' .. set
  local before = call('HINCRBY', key, 'count', n) - n
  local found = call('HMGET', key, 'prevTS', 'prevCount')
  if not found[1] then
    call('HSET', key, 'prevTS', now, 'prevCount', '0')
    return
  end
  local minutes = math.floor(now / 60000) - math.floor((tonumber(found[1]) or now) / 60000)
  minutes = math.min(minutes, points)
  if minutes > 0 then
    local values = { before - (tonumber(found[2]) or 0) }
    for i = 2, minutes do
      values[i] = 0
    end
    for from = 1, minutes, 1000 do
      call('LPUSH', key .. ':data', unpack(values, from, math.min(from + 999, minutes)))
    end
    call('LTRIM', key .. ':data', '0', points - 1)
    call('HSET', key, 'prevCount', before, 'prevTS', now)
  end
end
