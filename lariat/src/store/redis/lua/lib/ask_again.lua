--- @include taken
-- A repeated call: the verdicts of the first time are in `recorded`, and those jobs that it took and whose lock is still
-- the one it set are handed out once more; that lock starts anew, and they are no longer suspected to be stalled.
-- Sets `verdict`, `problems` and `found`, how many jobs there are.
local verdict, problems, first, ids = cmsgpack.unpack(recorded)
local found = 0
for i = 1, #ids do
  local job = base .. ids[i]
  if try('GET', job .. ':lock') == token_base .. first + i - 1 then
    local record = try('HGETALL', job)
    if not record.err and #record > 0 then
      call('PEXPIRE', job .. ':lock', lock_life)
      try('SREM', base .. 'stalled', ids[i])
      hand_out(i - 1, ids[i], record)
      found = found + 1
    end
  end
end
