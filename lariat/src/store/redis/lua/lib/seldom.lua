--- @include base
-- Steps that most calls do without. A script makes all its functions at every call; these are made when one is needed.
local seldom_made

seldom = function()
  if seldom_made then
    return seldom_made
  end
  --- @include guarded
  --- @include drop
  --- @include children_left
  --- @include take_back
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
    guarded = guarded, retain = retain, keep_none = keep_none, take_back = take_back, tell_others = tell_others,
    children_left = children_left, write_failure = write_failure, exhausted = exhausted, count_ended = count_ended,
    events_kept = events_kept, promote = promote, drop = drop, allowance = allowance, count_started = count_started,
    paused_or_maxed = paused_or_maxed, mark_next_delayed = mark_next_delayed,
    retry = retry, backoff = delay, delay = delay, children = wait_for_children, back = put_back,
  }
  return seldom_made
end
