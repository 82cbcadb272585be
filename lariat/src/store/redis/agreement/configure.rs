//! How a queue is worked: paused, resumed, limited.

use super::*;
use crate::store::change::Setting;

fn limit(max: u64, ms: u64) -> RateLimit {
    RateLimit { max, duration: Duration::from_millis(ms) }
}

#[test]
fn pause_and_resume() {
    let both = Both::start();
    for jobs in [vec![], vec![json!({})], vec![json!({"priority": 2})], vec![json!({"delay": 90_000})]] {
        both.wipe();
        for opts in &jobs {
            both.add("n", &json!(1), opts, NOW);
        }
        for setting in [Setting::Pause, Setting::Pause, Setting::Resume, Setting::Resume] {
            both.set(setting);
            let found = both.pair.differences();
            assert!(found.is_empty(), "{jobs:?} {setting:?}: {found}");
        }
    }
}

#[test]
fn a_paused_queue_hands_out_nothing_until_it_is_resumed() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({}), NOW);
    both.set(Setting::Pause);
    assert!(both.take(1, NOW).is_none());
    both.add("n", &json!(1), &json!({}), NOW);
    both.assert_same();
    both.set(Setting::Resume);
    both.assert_same();
    assert_eq!(both.hold(1, NOW).id, "1");
}

#[test]
fn what_an_older_client_put_aside_comes_first() {
    let both = Both::start();
    let pushes: [&[&str]; 4] = [
        &["RPUSH", "bull:q:paused", "b", "a"],
        &["RPUSH", "bull:q:wait", "d", "c"],
        &["HSET", "bull:q:meta", "concurrency", "0"],
        &["ZADD", "bull:q:prioritized", "4294967297", "e"],
    ];
    for which in 0..16 {
        both.wipe();
        both.both(&[&["HSET", "bull:q:meta", "paused", "1"]]);
        let ground: Vec<&[&str]> = (0..4).filter(|i| which & (1 << i) != 0).map(|i| pushes[i]).collect();
        both.both(&ground);
        both.set(Setting::Resume);
        let found = both.pair.differences();
        assert!(found.is_empty(), "{ground:?}: {found}");
    }
}

#[test]
fn many_are_merged_in_steps_and_announced_once() {
    let both = Both::start();
    for jobs in [6_999, 7_000, 7_001, 21_500] {
        both.wipe();
        let push = "for i = 1, ARGV[1] do redis.call('LPUSH', KEYS[1], i) end redis.call('LPUSH', KEYS[2], 'x')";
        let jobs = jobs.to_string();
        both.both(&[
            &["HSET", "bull:q:meta", "paused", "1"],
            &["EVAL", push, "2", "bull:q:paused", "bull:q:wait", &jobs],
        ]);
        both.set(Setting::Resume);
        let found = both.pair.differences();
        assert!(found.is_empty(), "{jobs}: {}", &found[..found.len().min(2000)]);
    }
}

#[test]
fn limits_are_written_as_bullmq_writes_them() {
    let both = Both::start();
    let settings = [
        Setting::Concurrency(Some(3)),
        Setting::RateLimit(Some(limit(5, 1500))),
        Setting::Limited(Some(Duration::from_secs(60))),
        Setting::Concurrency(Some(1)),
        Setting::RateLimit(None),
        Setting::RateLimit(None),
        Setting::Limited(None),
        Setting::Limited(None),
        Setting::Concurrency(None),
        Setting::Concurrency(None),
    ];
    for setting in settings {
        both.set(setting);
        let found = both.pair.differences();
        assert!(found.is_empty(), "{setting:?}: {found}");
    }
}

/// BullMQ wakes nobody; its workers see the new limit at their next poll.
#[test]
fn more_room_wakes_a_worker() {
    let both = Both::start();
    both.set(Setting::Concurrency(Some(1)));
    for _ in 0..2 {
        both.add("n", &json!(1), &json!({}), NOW);
    }
    both.hold(1, NOW);
    both.both(&[&["DEL", "bull:q:marker"]]);
    both.set(Setting::Concurrency(Some(1)));
    both.assert_same();
    both.set(Setting::Concurrency(Some(2)));
    both.assert_same_but(&["bull:q:marker"]);
    both.both(&[&["DEL", "bull:q:marker"], &["HSET", "bull:q:meta", "paused", "1"]]);
    both.set(Setting::Concurrency(None));
    both.assert_same();
}

#[test]
fn limits_hold() {
    let both = Both::without_markers();
    for _ in 0..4 {
        both.add("n", &json!(1), &json!({}), NOW);
    }
    both.set(Setting::Concurrency(Some(1)));
    let first = both.hold(1, NOW);
    assert!(both.take(2, NOW).is_none());
    both.end(&first, super::steps::End::Completed, NOW);
    both.set(Setting::Concurrency(None));
    both.set(Setting::RateLimit(Some(limit(1, 600_000))));
    both.hold(3, NOW);
    assert!(both.take(4, NOW).is_none());
    both.set(Setting::Limited(None));
    both.hold(5, NOW);
    both.set(Setting::Limited(Some(Duration::from_secs(600))));
    assert!(both.take(6, NOW).is_none());
    both.set(Setting::RateLimit(None));
    both.hold(7, NOW);
    both.assert_same();
}

#[test]
fn the_overview_tells_the_limits() {
    let both = Both::start();
    let seen = || {
        let overview = both.runtime.block_on(both.queue.overview()).unwrap();
        (overview.concurrency, overview.rate_limit, overview.limited_for)
    };
    assert_eq!(seen(), (None, None, None));
    both.theirs(json!({"op": "setGlobalConcurrency", "concurrency": 7}));
    both.theirs(json!({"op": "setGlobalRateLimit", "max": 2, "duration": 90_000}));
    both.copy();
    assert_eq!(seen(), (Some(7), Some(limit(2, 90_000)), None));
    for n in 1..=2 {
        both.add("n", &json!(1), &json!({}), NOW);
        assert_eq!(seen().2, None);
        both.hold(n, NOW);
    }
    let left = seen().2.expect("the limit is reached");
    assert!(left > Duration::from_secs(30) && left <= Duration::from_secs(90), "{left:?}");
    let theirs = both.theirs(json!({"op": "queue", "method": "getRateLimitTtl"}));
    assert!(theirs.as_i64().unwrap() > 30_000);
    // Set by hand, where no limit is set.
    both.theirs(json!({"op": "queue", "method": "removeGlobalRateLimit"}));
    both.copy();
    assert_eq!(seen(), (Some(7), None, None));
    both.theirs(json!({"op": "rateLimit", "ms": 70_000}));
    both.copy();
    assert!(seen().2.is_some_and(|left| left > Duration::from_secs(30) && left <= Duration::from_secs(70)));
    // What is no limit is told as none.
    for (field, value) in [("concurrency", "many"), ("concurrency", "0"), ("max", "0"), ("max", "-4"), ("duration", "")]
    {
        both.both(&[&["HSET", "bull:q:meta", "max", "2", "duration", "5", "concurrency", "1"]]);
        both.both(&[&["HSET", "bull:q:meta", field, value]]);
        let (concurrency, rate, _) = seen();
        assert!(concurrency.is_none() || rate.is_none(), "{field} {value:?}: {concurrency:?} {rate:?}");
    }
}
