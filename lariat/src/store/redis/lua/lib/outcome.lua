--- @include base
-- Fields of a job whose outcome came in (`ats` first, which every job that ran has), or nil where there is no record.
local function read_record(job, ...)
  local fields = call('HMGET', job, 'ats', ...)
  if not fields[1] and call('EXISTS', job) == 0 then
    return nil
  end
  return fields
end

-- Refuses, before anything is written, to push to a queue whose lists are of another type.
local function check_queue()
  call('LLEN', base .. 'wait')
  call('ZCARD', base .. 'prioritized')
end
