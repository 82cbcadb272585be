//! Jobs whose worker is gone.

use super::*;
use crate::store::exchange::{Recover, Recovered};

fn slice(both: &Both, now: u64, max_stalled: u32, after: &Recovered) -> Recovered {
    let recover = Recover { now: at(now), max_stalled, interval: LOCK, after: after.more.clone() };
    both.runtime.block_on(both.queue.recover(&recover)).unwrap()
}

fn search(both: &Both, now: u64) -> Vec<String> {
    let mut ids = Vec::new();
    let mut found = Recovered::default();
    loop {
        found = slice(both, now, 1, &found);
        ids.extend(found.ids.iter().map(ToString::to_string));
        if found.more.is_none() {
            return ids;
        }
    }
}

#[track_caller]
fn search_both(both: &Both, now: u64) -> Vec<String> {
    both.both(&[&["DEL", "bull:q:stalled-check"]]);
    let theirs = both.theirs(json!({"op": "moveStalledJobsToWait", "now": now}));
    let ours = search(both, now);
    assert_eq!(theirs, json!(ours));
    both.assert_same();
    ours
}

#[test]
fn suspected_first_then_put_back() {
    let both = Both::without_markers();
    for _ in 0..5 {
        both.add("n", &json!(1), &json!({}), NOW);
    }
    for n in 1..=4 {
        both.fetch(n, NOW);
    }
    assert!(search_both(&both, NOW + 1).is_empty());
    both.both(&[&["DEL", "bull:q:1:lock", "bull:q:3:lock"]]);
    assert_eq!(search_both(&both, NOW + 2), ["1", "3"]);
    assert!(search_both(&both, NOW + 3).is_empty());
}

#[test]
fn the_marker_wakes_a_worker_for_what_was_put_back() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({}), NOW);
    both.fetch(1, NOW);
    both.both(&[&["DEL", "bull:q:1:lock", "bull:q:marker"]]);
    search_both(&both, NOW + 1);
    search_both(&both, NOW + 2);
}

#[test]
fn too_often_is_a_deferred_failure() {
    let both = Both::without_markers();
    both.add("n", &json!(1), &json!({}), NOW);
    for n in 1..=3 {
        both.fetch(n, NOW);
        both.both(&[&["DEL", "bull:q:1:lock"]]);
        search_both(&both, NOW + n);
        search_both(&both, NOW + n);
    }
}

#[test]
fn one_search_per_interval() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({}), NOW);
    both.fetch(1, NOW);
    search(&both, NOW);
    both.both(&[&["SELECT", "1"], &["DEL", "bull:q:1:lock"]]);
    assert!(search(&both, NOW + 1).is_empty());
}

#[test]
fn a_job_whose_record_is_gone_is_dropped() {
    let both = Both::start();
    both.both(&[&["LPUSH", "bull:q:active", "ghost", "0:9"], &["SADD", "bull:q:stalled", "ghost", "0:9"]]);
    assert!(search(&both, NOW).is_empty());
    assert_eq!(both.runtime.block_on(both.queue.overview()).unwrap().counts.active, 0);
}

/// Fills our database: `n` active jobs, those of them for which `locked` holds with a lock.
fn many_active(both: &Both, n: usize, locked: impl Fn(usize) -> bool) {
    let mut connection = interop::redis::connect(&both.pair.ours());
    let mut pipe = redis::pipe();
    for i in 0..n {
        pipe.cmd("HSET").arg(format!("bull:q:{i}")).arg("name").arg("n").ignore();
        pipe.cmd("LPUSH").arg("bull:q:active").arg(i).ignore();
        pipe.cmd("SADD").arg("bull:q:stalled").arg(i).ignore();
        if locked(i) {
            pipe.cmd("SET").arg(format!("bull:q:{i}:lock")).arg("x").arg("PX").arg(60_000).ignore();
        }
    }
    pipe.exec(&mut connection).unwrap();
}

#[test]
fn a_large_queue_is_searched_in_slices() {
    let both = Both::start();
    many_active(&both, 9_000, |i| i % 3 == 0);
    let (mut found, mut slices, mut after) = (Vec::new(), 0, Recovered::default());
    loop {
        after = slice(&both, NOW, 1, &after);
        assert!(after.ids.len() <= 100);
        found.extend(after.ids.iter().map(ToString::to_string));
        slices += 1;
        if after.more.is_none() {
            break;
        }
    }
    assert!(slices >= 60, "{slices}");
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 6_000);
    let mut connection = interop::redis::connect(&both.pair.ours());
    let active: Vec<usize> = redis::cmd("LRANGE").arg("bull:q:active").arg(0).arg(-1).query(&mut connection).unwrap();
    assert_eq!(active, (0..9_000).rev().filter(|i| i % 3 == 0).collect::<Vec<_>>());
    let suspects: usize = redis::cmd("SCARD").arg("bull:q:stalled").query(&mut connection).unwrap();
    assert_eq!(suspects, 3_000);
    let own: Vec<String> = redis::cmd("KEYS").arg("lariat:*").query(&mut connection).unwrap();
    assert!(own.is_empty(), "{own:?}");
}

#[test]
fn another_search_between_two_slices_does_no_harm() {
    let both = Both::start();
    many_active(&both, 9_000, |i| i % 2 == 0);
    let first = slice(&both, NOW, 1, &Recovered::default());
    let mut connection = interop::redis::connect(&both.pair.ours());
    redis::cmd("DEL").arg("bull:q:stalled-check").exec(&mut connection).unwrap();
    // A Node worker's, and jobs that end meanwhile.
    let node = interop::node::NodeBull::start(&both.pair.ours());
    node.call(json!({"op": "moveStalledJobsToWait", "queue": "q", "now": NOW}));
    for i in (0..200).step_by(2) {
        redis::cmd("LREM").arg("bull:q:active").arg(-1).arg(i).exec(&mut connection).unwrap();
        redis::cmd("DEL").arg(format!("bull:q:{i}:lock")).exec(&mut connection).unwrap();
    }
    let mut found = first.ids.len();
    let mut after = first;
    while after.more.is_some() {
        after = slice(&both, NOW, 1, &after);
        found += after.ids.len();
    }
    redis::cmd("DEL").arg("bull:q:stalled-check").exec(&mut connection).unwrap();
    found += search(&both, NOW + 60_000).len();
    assert_eq!(found, 4_500);
    let waiting: Vec<usize> = redis::cmd("LRANGE").arg("bull:q:wait").arg(0).arg(-1).query(&mut connection).unwrap();
    let different: std::collections::BTreeSet<usize> = waiting.iter().copied().collect();
    assert_eq!((waiting.len(), different.len()), (4_500, 4_500));
}
