--- @include base
--- @include leave_active
-- What every outcome needs: a record, the job's lock, and a place in `active`. Locks are read at once for the whole
-- call, and dropped at once.
local lock_of, unlocked, removed = {}, {}, {}

local function read_locks(items)
  local keys = {}
  for i = 1, #items do
    keys[i] = items[i].key .. ':lock'
  end
  local found = call('MGET', unpack(keys))
  for i = 1, #items do
    lock_of[items[i].id] = found[i]
  end
end

-- Fields of the record (`ats` first, which every job that ran has), or nil where there is no record.
local function read_record(item, ...)
  local fields = call('HMGET', item.key, 'ats', ...)
  if removed[item.id] or (not fields[1] and call('EXISTS', item.key) == 0) then
    return nil
  end
  return fields
end

-- Lets the job go: 0, or a refusal, which leaves everything as it was. Token `0` means work without locks.
local function let_go(item)
  local id, token = item.id, item.token
  if token ~= '0' and lock_of[id] ~= token then
    return lock_of[id] and -6 or -2
  end
  if not leave_active(id) then
    return -3
  end
  if token ~= '0' then
    unlocked[#unlocked + 1] = item
    lock_of[id] = false
  end
  return 0
end

local function write_let_go()
  write_tail()
  if #unlocked == 0 then
    return
  end
  local keys, ids = {}, {}
  for i = 1, #unlocked do
    keys[i], ids[i] = unlocked[i].key .. ':lock', unlocked[i].id
  end
  call('DEL', unpack(keys))
  try('SREM', base .. 'stalled', unpack(ids))
  unlocked = {}
end

-- Refuses, before anything is written, to push to a queue whose lists are of another type.
local function check_queue()
  call('LLEN', base .. 'wait')
  call('ZCARD', base .. 'prioritized')
end
