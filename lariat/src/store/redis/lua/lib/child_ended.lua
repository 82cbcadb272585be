--- @include parent
-- Tells a job's parent how the job ended. `link` is the job's `parent` JSON: where the parent is, and what the job's
-- failure means to it.
local function child_ended(child, parent_key, link, completed, value)
  local ok, flags = pcall(cjson.decode, link or '')
  if not ok or type(flags) ~= 'table' then
    flags = {}
  end
  local q, id
  if type(flags.queueKey) == 'string' and flags.id then
    q, id = flags.queueKey .. ':', tostring(flags.id)
  else
    q, id = split_key(parent_key)
  end
  local told = flags.fpof or flags.cpof or flags.idof or flags.rdof
  if not q or not (completed or told) then
    return
  end
  local parent = q .. id
  if call('SREM', parent .. ':dependencies', child) == 0 then
    return
  end
  if completed then
    call('HSET', parent .. ':processed', child, value)
    free_when_last(q, id)
  elseif flags.fpof then
    fail_parent(q, id, child)
  elseif flags.cpof then
    call('HSET', parent .. ':failed', child, value)
    free(q, id)
  else
    free_when_last(q, id)
    if flags.idof then
      call('HSET', parent .. ':failed', child, value)
    end
  end
end
