--- @include events
--- @include child_ended
--- @include release_id
-- What a job's end means to others: its deduplication id is free, its parent is told. They may read what this call has
-- only noted so far, so that is written first. Returns whether the event stream has been trimmed.
local function tell_others(job, id, parent, did, completed, value, trimmed)
  if many then
    write_active()
    write_finals()
  end
  if not trimmed then
    try('XTRIM', base .. 'events', 'MAXLEN', '~', events_kept())
  end
  if did then
    guarded(id, release_id, id, did)
  end
  if parent then
    guarded(id, child_ended, job, parent, call('HGET', job, 'parent'), completed, value)
  end
  return true
end
