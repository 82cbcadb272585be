--- @include taken
-- The answer to a repeated call: the verdicts of the first time, and those jobs that it took whose lock is still the
-- one it set; that lock starts anew, and they are no longer suspected to be stalled.
local function ask_again(recorded, lease)
  local verdict, problems, first, ids = cmsgpack.unpack(recorded)
  local found = 0
  for i = 1, #ids do
    local job = base .. ids[i]
    if try('GET', job .. ':lock') == lease.token .. first + i - 1 then
      local record = try('HGETALL', job)
      if not record.err and #record > 0 then
        call('PEXPIRE', job .. ':lock', lease.life)
        try('SREM', base .. 'stalled', ids[i])
        hand_out(i - 1, ids[i], record)
        found = found + 1
      end
    end
  end
  return pack('known', verdict, problems, 'again', nil, found) .. table.concat(answers)
end
