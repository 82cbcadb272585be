--- Some jobs of one state.
---
--- KEYS 1 the queue's base key with its colon
--- ARGV 1 state   2 ids to skip   3 jobs wanted   4 `1` for the oldest (or next to run) first   5 most ids to look at
--- Reply: how many ids were looked at: fewer than asked for at the end of the state, or when all jobs were found; then id
---      and record for each job; the record is names and values in turn, or text: why it cannot be read
--- Errors: a key of another type
--- Writes, events: none
--- Agrees with BullMQ's getRanges and getJobs, which skips ids without a record, too
--- @include slice

local state, from, wanted, oldest_first = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local jobs, looked, most = {}, 0, tonumber(ARGV[5])
while #jobs < wanted and looked < most do
  local ids = slice(state, from + looked, math.min(wanted - #jobs, most - looked), oldest_first)
  if #ids == 0 then
    break
  end
  looked = looked + #ids
  for _, id in ipairs(ids) do
    local record = try('HGETALL', base .. id)
    if record.err or #record > 0 then
      jobs[#jobs + 1] = { id, record.err or record }
    end
  end
end
return { looked, jobs }
