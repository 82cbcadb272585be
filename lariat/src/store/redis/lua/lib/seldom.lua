--- @include base
-- Steps that most calls do without. A script makes all its functions at every call; these are made when one is needed.
local seldom_made

seldom = function()
  if seldom_made then
    return seldom_made
  end
  --- @include guarded
  --- @include retention
  --- @include tell_others
  --- @include failure
  --- @include metrics
  --- @include promote
  --- @include allowance
  --- @include retry
  --- @include delay
  --- @include wait_for_children
  --- @include put_back
  read_limit()
  seldom_made = {
    guarded = guarded, retain = retain, remove_records = remove_records, unlink = unlink, tell_others = tell_others,
    write_failure = write_failure, exhausted = exhausted, count_ended = count_ended, promote = promote,
    allowance = allowance, count_started = count_started, mark_next_delayed = mark_next_delayed,
    retry = retry, backoff = delay, delay = delay, children = wait_for_children, back = put_back,
  }
  return seldom_made
end
