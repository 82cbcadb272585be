--- @include base
-- A repeated call: the verdicts of the first time are in `recorded`, and those jobs that it took and whose lock is still
-- the one it set are handed out once more; that lock starts anew, and they are no longer suspected to be stalled.
-- Sets `verdict`, `problems` and `jobs`.
local verdict, problems, ids = n, {}, {}
local form = string.sub(recorded, 1, 1)
if form == '1' then
  ids[1] = string.sub(recorded, 2)
elseif form == ':' then
  verdict, problems, ids = cmsgpack.unpack(string.sub(recorded, 2))
end
for i = 1, #ids do
  local id = ids[i]
  local job = base .. id
  if try('GET', job .. ':lock') == token_base .. first_token + i - 1 then
    local record = try('HGETALL', job)
    if not record.err and #record > 0 then
      call('PEXPIRE', job .. ':lock', lock_life)
      try('SREM', base .. 'stalled', id)
      local last = #jobs
      jobs[last + 1], jobs[last + 2], jobs[last + 3] = i - 1, id, record
    end
  end
end
