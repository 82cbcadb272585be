--- @include base
-- Jobs as they are handed out: place in the call, id, length of the record, record; a stream of MessagePack values.
local answers = {}

local function hand_out(place, id, record)
  local n = #record
  if n <= 1000 then
    answers[#answers + 1] = pack(place, id, n, unpack(record))
    return
  end
  answers[#answers + 1] = pack(place, id, n)
  for i = 1, n do
    answers[#answers + 1] = pack(record[i])
  end
end
