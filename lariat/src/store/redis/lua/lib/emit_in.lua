--- @include base
-- An event of any queue, given its base key `q`; the stream is trimmed.
local function emit_in(q, ...)
  local kept = call('HGET', q .. 'meta', 'opts.maxLenEvents')
  if not kept then
    kept = '10000'
    call('HSET', q .. 'meta', 'opts.maxLenEvents', kept)
  end
  try('XADD', q .. 'events', 'MAXLEN', '~', tonumber(kept) or 10000, '*', 'event', ...)
end
