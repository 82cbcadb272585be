--- @include held
--- @include finals
--- @include children
-- Completed, or failed for good. The value is the result (JSON) or the reason; the rule is the retention; for a failure
-- more is the attempts allowed, a blank, and the stack traces.
local events, trimmed = base .. 'events', false

local function finish(i, id, token, value, rule, more, completed)
  local job = base .. id
  local record = call('HMGET', job, 'ats', 'atm', 'parentKey', 'deid')
  local made, parent, did = record[2], record[3], record[4]
  if not record[1] and call('EXISTS', job) == 0 then
    return -1
  end
  local set, field = 'failed', 'failedReason'
  if completed then
    set, field = 'completed', 'returnvalue'
    if look_for_children then
      if call('SCARD', job .. ':dependencies') > 0 then
        return -4
      elseif call('ZCARD', job .. ':unsuccessful') > 0 then
        return -9
      end
    end
  end
  if not final_checked[set] then
    final_checked[set] = call('ZCARD', base .. set) -- an error before the first write where it is of another type
  end
  local code = let_go(i, id, token)
  if code ~= 0 then
    return code
  end
  if parent or did then
    look_for_children = true -- of jobs whose outcomes come after this one
    trimmed = seldom().tell_others(job, id, parent, did, completed, value, trimmed)
  end
  made = made and string.format('%d', made + 1) or '1'
  if rule == '0' then
    if parent then -- which a failure without a flag has not told; it cannot wait for a job that is gone
      seldom().guarded(id, seldom().unlink, job, parent)
    end
    seldom().remove_records({ id })
  elseif completed then
    call('HSET', job, 'atm', made, 'returnvalue', value, 'finishedOn', now)
  else
    seldom().write_failure(job, made, value, more)
  end
  ended[set] = (ended[set] or 0) + 1
  if rule ~= '0' then
    local members = final_members(set, rule)
    members[#members + 1] = now
    members[#members + 1] = id
  end
  -- BullMQ trims the stream before it writes, XADD after: with a limit of one more the same entries go.
  if trimmed then
    try('XADD', events, '*', 'event', set, 'jobId', id, field, value, 'prev', 'active')
  else
    trimmed = true
    try('XADD', events, 'MAXLEN', '~', events_kept() + 1, '*', 'event', set, 'jobId', id, field, value, 'prev', 'active')
  end
  if not completed then
    seldom().exhausted(id, made, more)
  end
  return 0
end
