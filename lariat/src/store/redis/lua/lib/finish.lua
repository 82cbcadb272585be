--- @include held
--- @include children
-- Completed, or failed for good. The value is the result (JSON) or the reason; the rule is the retention; for a failure
-- more is the attempts allowed, a blank, and the stack traces.
local events, trimmed, ended = base .. 'events', false, {}
local check_final, note_final, write_finals
if many then
  --- @include finals
end

local function finish(i, id, token, value, rule, more, completed)
  local job = base .. id
  local record = call('HMGET', job, 'ats', 'atm', 'parentKey', 'deid')
  local made, parent, did = record[2], record[3], record[4]
  if not record[1] and call('EXISTS', job) == 0 then
    return -1
  end
  local set, field = completed and 'completed' or 'failed', completed and 'returnvalue' or 'failedReason'
  local code = completed and look_for_children and seldom().children_left(job) or 0
  if code ~= 0 then
    return code
  end
  local keeps = rule ~= '0'
  if many then
    check_final(set)
  end
  code = let_go(i, id, token)
  if code ~= 0 then
    return code
  end
  local added = keeps and not many and try('ZADD', base .. set, now, id)
  if added and added ~= 1 and added ~= 0 then
    return seldom().take_back(id, added.err)
  end
  if parent or did then
    look_for_children = true -- of jobs whose outcomes come after this one
    trimmed = seldom().tell_others(job, id, parent, did, completed, value, trimmed)
  end
  made = made and string.format('%d', made + 1) or '1'
  if not keeps then
    seldom().keep_none(id, job, parent)
  elseif completed then
    call('HSET', job, 'atm', made, 'returnvalue', value, 'finishedOn', now)
  else
    seldom().write_failure(job, made, value, more)
  end
  ended[set] = (ended[set] or 0) + 1
  -- BullMQ trims the stream before it writes, XADD after: with a limit of one more the same entries go.
  if trimmed then
    try('XADD', events, '*', 'event', set, 'jobId', id, field, value, 'prev', 'active')
  else
    trimmed = true
    local kept = (event_limit or seldom().events_kept()) + 1
    try('XADD', events, 'MAXLEN', '~', kept, '*', 'event', set, 'jobId', id, field, value, 'prev', 'active')
  end
  if not completed then
    seldom().exhausted(id, made, more)
  end
  if many and keeps then
    note_final(set, rule, id)
  elseif keeps and rule ~= '' then
    seldom().guarded(set, seldom().retain, set, rule, 1)
  end
  return 0
end
