//! Who is woken: the markers after each step, from none before it.

use super::steps::End;
use super::*;

const ENDS: [End; 8] = [
    End::Completed,
    End::Failed,
    End::Retried { lifo: false },
    End::Retried { lifo: true },
    End::BackedOff(700),
    End::Delayed(0),
    End::WaitsForChildren,
    End::PutBack,
];

type Commands = &'static [&'static [&'static str]];

/// What the queue may be like; of these the first may start jobs.
const GROUNDS: [Commands; 6] = [
    &[],
    &[&["HSET", "bull:q:meta", "concurrency", "3"]],
    &[&["HSET", "bull:q:meta", "concurrency", "2"]],
    &[&["HSET", "bull:q:meta", "concurrency", "1"]],
    &[&["HSET", "bull:q:meta", "paused", "1"]],
    &[&["ZADD", "bull:q:delayed", "6963200003072000", "late"]],
];

#[test]
fn after_each_end_on_each_ground() {
    let both = Both::start();
    for opts in [json!({}), json!({"priority": 2})] {
        for others_wait in [false, true] {
            for ground in GROUNDS {
                for end in ENDS {
                    both.wipe();
                    both.add("n", &json!(1), &opts, NOW);
                    both.add("n", &json!(1), &opts, NOW);
                    let job = both.hold(1, NOW);
                    both.hold(2, NOW);
                    if others_wait {
                        both.add("n", &json!(1), &opts, NOW);
                    }
                    if end == End::WaitsForChildren {
                        both.both(&[&["SADD", "bull:q:1:dependencies", "bull:q:c"]]);
                    }
                    both.both(ground);
                    both.both(&[&["DEL", "bull:q:marker"]]);
                    both.end(&job, end, NOW + 1);
                    let found = both.pair.differences();
                    // BullMQ wakes nobody for a prioritized job that was put back.
                    let startable = !ground.iter().any(|command| command.contains(&"paused") || command.contains(&"1"));
                    if end == End::PutBack && opts["priority"] == 2 && startable {
                        both.assert_same_but(&["bull:q:marker"]);
                    } else {
                        assert!(found.is_empty(), "{opts} {others_wait} {ground:?} {end:?}: {found}");
                    }
                }
            }
        }
    }
}

#[test]
fn after_each_add_on_each_ground() {
    let both = Both::start();
    for ground in GROUNDS {
        for opts in
            [json!({}), json!({"priority": 2}), json!({"lifo": true}), json!({"delay": 3}), json!({"jobId": "x"})]
        {
            both.wipe();
            both.both(&[&["LPUSH", "bull:q:active", "a", "b"]]);
            both.both(ground);
            both.add("n", &json!(1), &opts, NOW);
            let found = both.pair.differences();
            assert!(found.is_empty(), "{opts} {ground:?}: {found}");
        }
    }
}

#[test]
fn after_each_take_on_each_ground() {
    let both = Both::start();
    for ground in GROUNDS {
        // How many jobs there are, and how many of them are due only now.
        for (waiting, due) in [(0, 0), (1, 0), (3, 0), (0, 1), (0, 3), (2, 2)] {
            both.wipe();
            for _ in 0..waiting {
                both.add("n", &json!(1), &json!({}), NOW);
            }
            for n in 0..due {
                both.add("n", &json!(1), &json!({"delay": 1 + n}), NOW);
            }
            both.both(&[&["LPUSH", "bull:q:active", "a"]]);
            both.both(ground);
            both.both(&[&["DEL", "bull:q:marker"]]);
            let taken = both.take(1, NOW + 9);
            let found = both.pair.differences();
            // The marker after the last job would wake somebody for nothing; a promotion writes one before.
            if taken.is_some() && (waiting, due) == (1, 0) {
                both.assert_same_but(&["bull:q:marker"]);
            } else {
                assert!(found.is_empty(), "{waiting} {due} {ground:?}: {found}");
            }
        }
    }
}

#[test]
fn of_several_that_are_due_in_one_millisecond() {
    let both = Both::start();
    for _ in 0..3 {
        both.add("n", &json!(1), &json!({}), NOW);
    }
    let held: Vec<_> = (1..=3).map(|n| both.hold(n, NOW)).collect();
    both.both(&[&["DEL", "bull:q:marker"]]);
    for job in &held {
        both.end(job, End::Delayed(700), NOW + 1);
        both.assert_same();
    }
    // The first goes, so that the earliest has a fraction of a millisecond; ours is written without it.
    both.both(&[&["ZREM", "bull:q:delayed", "1"], &["DEL", "bull:q:marker"]]);
    both.add("n", &json!(1), &json!({"delay": 900}), NOW);
    both.assert_same_but(&["bull:q:marker"]);
    let marker = |url: &str| -> Vec<(String, f64)> {
        let mut connection = interop::redis::connect(url);
        redis::cmd("ZRANGE").arg("bull:q:marker").arg(0).arg(-1).arg("WITHSCORES").query(&mut connection).unwrap()
    };
    let (theirs, ours) = (marker(&both.pair.theirs_url()), marker(&both.pair.ours()));
    assert_eq!(ours.iter().map(|(_, score)| *score).collect::<Vec<_>>(), [theirs[0].1.floor()]);
}
