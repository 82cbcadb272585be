--- @include held
--- @include finals
--- @include children
--- @include child_ended
--- @include release_id
-- What a job's end means to others: its deduplication id is free, its parent is told. They may read what this call has
-- only noted so far, so that is written first; and they may be what a later outcome of this call is about.
local function touch_others(item, parent_key, link, did, completed, now)
  write_let_go()
  write_finals()
  look_again()
  if did then
    guarded(item.id, release_id, item.id, did, now)
  end
  if parent_key then
    guarded(item.id, child_ended, item.key, parent_key, link, completed, item.value, now)
  end
end
