--- @include settings
-- The queue's own limits: how many more jobs may start.
local limiter, limit_max, limit_window = base .. 'limiter', nil, nil

-- The worker's limit stands where the queue has none; its window, where it has one, stands before the queue's.
local function read_limit()
  limit_max = tonumber(settings[3]) or tonumber(ARGV[8])
  limit_window = tonumber(ARGV[9]) or tonumber(settings[4])
  if not limit_window or limit_window < 1 then
    limit_max = nil
  end
end

-- Of `want` jobs, how many; if none also why: `limited` and for how many ms, or `paused`.
local function allowance(want)
  if limit_max then
    local life = call('PTTL', limiter)
    local started = tonumber(call('GET', limiter)) or 0
    if life > 0 and started >= limit_max then
      return 0, 'limited', life
    elseif life > 0 or started == 0 then
      want = math.min(want, math.max(limit_max - started, 1))
    end
  end
  if is_paused then
    return 0, 'paused'
  end
  if most_active then
    want = math.min(want, most_active - call('LLEN', base .. 'active'))
    if want <= 0 then
      return 0, 'paused'
    end
  end
  return want
end

local function count_started(n)
  if limit_max and n > 0 and call('INCRBY', limiter, n) == n then
    call('PEXPIRE', limiter, math.floor(limit_window))
  end
end
