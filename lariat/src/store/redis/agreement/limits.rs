//! What may start: rate limits of the worker, of the queue, by hand; global concurrency.

use super::steps::End;
use super::*;
use crate::store::exchange::Hint;

fn add_some(both: &Both) {
    for _ in 0..5 {
        both.add("n", &json!(1), &json!({}), NOW);
    }
}

#[track_caller]
fn takes(both: &Both, from: u64, takes: &[bool]) {
    for (n, job) in (from..).zip(takes) {
        assert_eq!(both.take(n, NOW).is_some(), *job, "{n}");
        both.assert_same();
    }
}

#[test]
fn a_window_that_is_over_opens_a_new_one() {
    let both = Both::without_markers().limited(2, Duration::from_secs(60));
    add_some(&both);
    takes(&both, 1, &[true, true, false]);
    both.both(&[&["PEXPIRE", "bull:q:limiter", "1"]]);
    for url in [both.pair.theirs_url(), both.pair.ours()] {
        let mut connection = interop::redis::connect(&url);
        let until = std::time::Instant::now() + PATIENCE;
        while redis::cmd("EXISTS").arg("bull:q:limiter").query::<bool>(&mut connection).unwrap() {
            assert!(std::time::Instant::now() < until, "it has a life of 1 ms");
        }
    }
    takes(&both, 3, &[true, true, false]);
}

#[test]
fn a_counter_without_a_life_limits_nothing() {
    let both = Both::without_markers().limited(2, Duration::from_secs(60));
    both.both(&[&["SET", "bull:q:limiter", "7"]]);
    add_some(&both);
    takes(&both, 1, &[true, true, true]);
}

#[test]
fn a_limit_by_hand_binds_those_that_have_one() {
    let both = Both::without_markers();
    add_some(&both);
    both.by_node(json!({"op": "rateLimit", "ms": 60_000, "now": NOW})).unwrap();
    takes(&both, 1, &[true, true]);

    let both = Both::without_markers().limited(100, Duration::from_secs(5));
    add_some(&both);
    both.by_node(json!({"op": "rateLimit", "ms": 60_000, "now": NOW})).unwrap();
    takes(&both, 1, &[false]);
    let hint = both.ours(vec![], 1, 9, NOW).hint;
    assert!(matches!(hint, Hint::LimitedFor(left) if left > Duration::from_secs(30)), "{hint:?}");
    both.by_node(json!({"op": "queue", "method": "removeRateLimitKey"})).unwrap();
    takes(&both, 2, &[true, true]);
}

#[test]
fn the_queues_limit_comes_and_goes() {
    let both = Both::without_markers();
    add_some(&both);
    both.by_node(json!({"op": "setGlobalRateLimit", "max": 1, "duration": 60_000})).unwrap();
    takes(&both, 1, &[true, false]);
    both.by_node(json!({"op": "setGlobalRateLimit", "max": 2, "duration": 60_000})).unwrap();
    takes(&both, 3, &[true, false]);
    both.by_node(json!({"op": "removeGlobalRateLimit"})).unwrap();
    takes(&both, 5, &[true, true]);
}

#[test]
fn the_limit_is_told_before_the_pause() {
    let both = Both::without_markers().limited(1, Duration::from_secs(60));
    add_some(&both);
    takes(&both, 1, &[true, false]);
    both.by_node(json!({"op": "pause", "now": NOW})).unwrap();
    let theirs = both.theirs(json!({"op": "fetch", "token": "t:2", "now": NOW}));
    assert!(theirs["rateLimitDelay"].as_u64().unwrap() > 30_000, "{theirs}");
    assert!(matches!(both.ours(vec![], 1, 2, NOW).hint, Hint::LimitedFor(_)));
    both.both(&[&["DEL", "bull:q:limiter"]]);
    takes(&both, 3, &[false]);
    assert_eq!(both.ours(vec![], 1, 2, NOW).hint, Hint::Paused);
}

#[test]
fn a_job_that_is_to_fail_starts_in_a_window_but_does_not_count() {
    let both = Both::without_markers().limited(2, Duration::from_secs(60));
    add_some(&both);
    both.both(&[&["HSET", "bull:q:1", "defa", "why not"], &["HSET", "bull:q:2", "defa", ""]]);
    takes(&both, 1, &[true, true, true, true, false]);
}

#[test]
fn a_place_that_comes_free_is_taken() {
    let both = Both::without_markers();
    add_some(&both);
    both.by_node(json!({"op": "setGlobalConcurrency", "concurrency": 2})).unwrap();
    let first = both.hold(1, NOW);
    takes(&both, 2, &[true, false]);
    both.end(&first, End::Completed, NOW + 1);
    takes(&both, 3, &[true, false]);
    both.by_node(json!({"op": "removeGlobalConcurrency"})).unwrap();
    takes(&both, 4, &[true]);
}

#[test]
fn an_end_and_a_take_in_one_call_see_the_place_that_came_free() {
    let both = Both::without_markers();
    add_some(&both);
    both.both(&[&["HSET", "bull:q:meta", "concurrency", "2"]]);
    let held = [both.hold(1, NOW), both.hold(2, NOW)];
    for job in &held {
        both.their_end(job, End::Completed, NOW + 1);
    }
    for n in 3..=5 {
        both.theirs(json!({"op": "fetch", "token": format!("t:{n}"), "now": NOW + 1}));
    }
    let ours = both.ours(held.iter().map(|job| job.ours(End::Completed)).collect(), 3, 3, NOW + 1);
    assert_eq!((ours.jobs.len(), ours.hint), (2, Hint::Paused));
    assert_eq!(both.differences_of_a_batch(), "");
}
