--- @include events
-- What a failed attempt leaves in the record, and what only a failure for good does.
local function write_failure(job, made, reason, more)
  call('HSET', job, 'atm', made, 'failedReason', reason, 'stacktrace', string.match(more, ' (.*)$'), 'finishedOn', now)
  call('HDEL', job, 'defa')
end

local function exhausted(id, made, more)
  if tonumber(made) >= tonumber(string.match(more, '^%d+')) then
    emit('retries-exhausted', 'jobId', id, 'attemptsMade', made)
  end
end
