--- @include base
-- An event of any queue, given its base key `q`; the stream is trimmed.
local function emit_in(q, ...)
  local kept = try('HGET', q .. 'meta', 'opts.maxLenEvents')
  if not kept then
    kept = '10000'
    call('HSET', q .. 'meta', 'opts.maxLenEvents', kept)
  end
  try('XADD', q .. 'events', 'MAXLEN', '~', type(kept) == 'string' and tonumber(kept) or 10000, '*', 'event', ...)
end
