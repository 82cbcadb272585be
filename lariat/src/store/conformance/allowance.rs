//! How many jobs may start: pause, global concurrency, rate limits of the queue, of a worker and by hand.

use super::cases;
use super::world::{World, held, ids, job, ms};
use crate::store::change::Setting;
use crate::store::exchange::{Hint, RateLimit};

cases! {
    none_while_paused,
    what_is_due_is_promoted_though_none_may_start,
    as_many_as_the_queue_runs_at_a_time,
    an_end_makes_room_within_the_same_call,
    the_queues_rate_limit,
    a_workers_rate_limit,
    the_queues_limit_stands_before_the_workers,
    a_window_that_is_over_opens_a_new_one,
    by_hand_none_starts_for_a_while,
    a_job_that_is_to_fail_does_not_count,
    without_a_limit_nothing_is_counted,
    a_workers_window_stands_before_the_queues,
    a_window_is_not_prolonged_by_later_starts,
    a_window_that_is_over_limits_nothing,
}

const HOUR: u64 = 3_600_000;

fn limit(max: u64) -> RateLimit {
    RateLimit { max, duration: ms(HOUR) }
}

fn is_limited(hint: Hint) -> bool {
    matches!(hint, Hint::LimitedFor(left) if left > ms(HOUR / 2) && left <= ms(HOUR))
}

fn none_while_paused(w: &World) {
    w.add(job());
    w.configure(Setting::Pause);
    assert_eq!(w.hint(), Hint::Paused);
    w.configure(Setting::Resume);
    assert_eq!(ids(&w.take(1)), "1");
}

fn what_is_due_is_promoted_though_none_may_start(w: &World) {
    w.add(job().delay(5));
    w.configure(Setting::Pause);
    w.pass(5);
    assert_eq!(w.hint(), Hint::Paused);
    assert_eq!(w.shown(), "waiting 1");
}

fn as_many_as_the_queue_runs_at_a_time(w: &World) {
    w.add_all((0..5).map(|_| job()));
    w.configure(Setting::Concurrency(Some(3)));
    let answer = w.exchange(vec![], 5);
    assert_eq!((ids(&held(&answer)).as_str(), answer.hint), ("1 2 3", Hint::Paused));
    assert_eq!(w.hint(), Hint::Paused);
    w.configure(Setting::Concurrency(Some(4)));
    assert_eq!(ids(&w.take(5)), "4");
    w.configure(Setting::Concurrency(None));
    assert_eq!(ids(&w.take(5)), "5");
}

fn an_end_makes_room_within_the_same_call(w: &World) {
    w.add_all((0..3).map(|_| job()));
    w.configure(Setting::Concurrency(Some(1)));
    let first = w.one();
    assert_eq!(ids(&held(&w.exchange(vec![first.complete()], 2))), "2");
}

fn the_queues_rate_limit(w: &World) {
    w.add_all((0..4).map(|_| job()));
    w.configure(Setting::RateLimit(Some(limit(3))));
    assert_eq!(ids(&w.take(2)), "1 2");
    let answer = w.exchange(vec![], 2);
    assert_eq!(ids(&held(&answer)), "3");
    assert!(is_limited(w.hint()));
    let overview = w.overview();
    assert_eq!(overview.rate_limit, Some(limit(3)));
    assert!(is_limited(Hint::LimitedFor(overview.limited_for.unwrap())));
    w.configure(Setting::RateLimit(None));
    assert_eq!(ids(&w.take(2)), "4");
}

fn a_workers_rate_limit(w: &World) {
    w.add_all((0..4).map(|_| job()));
    assert_eq!(ids(&held(&w.take_limited(4, limit(2)))), "1 2");
    assert!(is_limited(w.take_limited(4, limit(2)).hint));
    // One without a limit is not bound by it.
    assert_eq!(ids(&w.take(1)), "3");
}

fn the_queues_limit_stands_before_the_workers(w: &World) {
    w.add_all((0..4).map(|_| job()));
    w.configure(Setting::RateLimit(Some(limit(3))));
    assert_eq!(ids(&held(&w.take_limited(4, limit(1)))), "1 2 3");
}

fn a_window_that_is_over_opens_a_new_one(w: &World) {
    w.add_all((0..4).map(|_| job()));
    w.configure(Setting::RateLimit(Some(limit(1))));
    assert_eq!(ids(&w.take(4)), "1");
    w.hands.end_window();
    assert_eq!(ids(&w.take(4)), "2");
    w.configure(Setting::Limited(None));
    assert_eq!(ids(&w.take(4)), "3");
    assert!(is_limited(w.hint()));
}

fn by_hand_none_starts_for_a_while(w: &World) {
    w.add(job());
    w.configure(Setting::RateLimit(Some(limit(100))));
    w.configure(Setting::Limited(Some(ms(HOUR))));
    assert!(is_limited(w.hint()));
    assert!(is_limited(Hint::LimitedFor(w.overview().limited_for.unwrap())));
    w.configure(Setting::Limited(None));
    assert_eq!(w.overview().limited_for, None);
    assert_eq!(ids(&w.take(1)), "1");
}

fn a_job_that_is_to_fail_does_not_count(w: &World) {
    w.add_all((0..3).map(|_| job()));
    w.hands.doom("1", "doomed");
    w.configure(Setting::RateLimit(Some(limit(1))));
    assert_eq!(ids(&w.take(1)), "1");
    assert_eq!(ids(&w.take(3)), "2");
    assert!(is_limited(w.hint()));
}

fn without_a_limit_nothing_is_counted(w: &World) {
    w.add_all((0..3).map(|_| job()));
    w.take(2);
    w.configure(Setting::RateLimit(Some(limit(1))));
    assert_eq!(ids(&w.take(3)), "3");
}

fn a_workers_window_stands_before_the_queues(w: &World) {
    w.add_all((0..3).map(|_| job()));
    w.configure(Setting::RateLimit(Some(limit(1))));
    let worker = RateLimit { max: 5, duration: ms(HOUR / 4) };
    assert_eq!(ids(&held(&w.take_limited(3, worker))), "1");
    let Hint::LimitedFor(left) = w.take_limited(3, worker).hint else { panic!("it is limited") };
    assert!(left <= ms(HOUR / 4), "{left:?}");
}

fn a_window_is_not_prolonged_by_later_starts(w: &World) {
    w.add_all((0..3).map(|_| job()));
    let longer = RateLimit { max: 2, duration: ms(2 * HOUR) };
    assert_eq!(ids(&held(&w.take_limited(1, limit(2)))), "1");
    assert_eq!(ids(&held(&w.take_limited(1, longer))), "2");
    assert!(is_limited(w.take_limited(1, longer).hint));
}

fn a_window_that_is_over_limits_nothing(w: &World) {
    w.add(job());
    w.configure(Setting::RateLimit(Some(limit(1))));
    w.one();
    assert!(w.overview().limited_for.is_some());
    w.hands.end_window();
    assert_eq!(w.overview().limited_for, None);
}
