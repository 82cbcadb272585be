//! Completed and failed: fields, sets, events, refusals, drained, metrics, deduplication.

use super::*;
use crate::store::exchange::{Hint, Verdict};

fn one_active(both: &Both, opts: &Value) -> String {
    both.add("n", &json!({"a": 1}), opts, NOW);
    both.fetch(1, NOW + 1).unwrap()
}

#[track_caller]
fn complete_both(both: &Both, job: &str, n: u64, keep: Keep, now: u64) {
    both.theirs(json!({"op": "moveToCompleted", "id": job, "value": 42, "token": format!("t:{n}"), "now": now}));
    let done = both.ours(vec![complete(job, n, &json!(42), keep)], 0, 0, now);
    assert_eq!(done.verdicts, [Verdict::Accepted]);
}

#[test]
fn completed() {
    let both = Both::without_markers();
    let job = one_active(&both, &json!({}));
    complete_both(&both, &job, 1, Keep::ALL, NOW + 9);
    both.assert_same();
}

#[test]
fn completed_and_removed() {
    let both = Both::without_markers();
    let job = one_active(&both, &json!({"removeOnComplete": true}));
    complete_both(&both, &job, 1, Keep::NONE, NOW + 9);
    both.assert_same();
}

#[test]
fn completed_while_others_wait_drains_nothing() {
    let both = Both::without_markers();
    both.add("n", &json!(1), &json!({}), NOW);
    let job = one_active(&both, &json!({}));
    complete_both(&both, &job, 1, Keep::ALL, NOW + 9);
    both.assert_same();
}

#[test]
fn finish_and_fetch_next() {
    let both = Both::without_markers();
    for _ in 0..3 {
        both.add("n", &json!(1), &json!({}), NOW);
    }
    both.add("n", &json!(1), &json!({"delay": 900}), NOW);
    let mut job = both.fetch(1, NOW).unwrap();
    for n in 1..=3 {
        let step = json!({"op": "moveToCompleted", "id": job, "value": n, "token": format!("t:{n}"),
            "fetchNext": true, "now": NOW + n});
        let theirs = both.theirs(step);
        let ours = both.ours(vec![complete(&job, n, &json!(n), Keep::ALL)], 1, n + 1, NOW + n);
        let next = ours.jobs.first().map(|job| job.id.to_string());
        assert_eq!(theirs["job"]["id"].as_str().map(str::to_owned), next, "{theirs}");
        // BullMQ gives the next job the token of the one that is done.
        both.assert_same();
        match next {
            Some(next) => {
                let lock = format!("bull:q:{next}:lock");
                both.both(&[&["SET", &lock, &format!("t:{}", n + 1), "PX", "30000"]]);
                job = next;
            }
            None => assert_eq!(ours.hint, Hint::DueAt(at(NOW + 900))),
        }
    }
    both.assert_same();
}

#[test]
fn failed_for_good() {
    let both = Both::without_markers();
    let job = one_active(&both, &json!({"attempts": 1}));
    both.theirs(json!({"op": "moveToFailed", "id": job, "error": {"message": "boom"}, "token": "t:1", "now": NOW + 9}));
    both.both(&[&["HSET", "bull:q:1", "stacktrace", "[\"boom\"]"]]);
    let done = both.ours(vec![fail(&job, 1, "boom", 1, Keep::ALL)], 0, 0, NOW + 9);
    assert_eq!(done.verdicts, [Verdict::Accepted]);
    both.both(&[&["HSET", "bull:q:1", "stacktrace", "[\"boom\"]"]]);
    both.assert_same();
}

#[test]
fn an_unrecoverable_failure_exhausts_no_retries_and_drops_its_deferred_failure() {
    let both = Both::without_markers();
    let job = one_active(&both, &json!({"attempts": 5}));
    both.both(&[&["HSET", "bull:q:1", "defa", "stalled"]]);
    let error = json!({"message": "boom", "name": "UnrecoverableError"});
    both.theirs(json!({"op": "moveToFailed", "id": job, "error": error, "token": "t:1", "now": NOW + 9}));
    both.ours(vec![fail(&job, 1, "boom", 5, Keep::ALL)], 0, 0, NOW + 9);
    both.both(&[&["HSET", "bull:q:1", "stacktrace", "[]"]]);
    both.assert_same();
}

#[test]
fn refusals_change_nothing() {
    let both = Both::start();
    for _ in 0..5 {
        both.add("n", &json!(1), &json!({}), NOW);
    }
    for n in 1..=5 {
        both.fetch(n, NOW);
    }
    both.both(&[
        &["DEL", "bull:q:1", "bull:q:1:lock"],
        &["DEL", "bull:q:2:lock"],
        &["SET", "bull:q:3:lock", "somebody", "PX", "30000"],
        &["SADD", "bull:q:4:dependencies", "bull:q:child"],
        &["ZADD", "bull:q:5:unsuccessful", "1", "bull:q:child"],
        &["DEL", "bull:q:marker"],
    ]);
    both.assert_same();
    let complete_all = |n: u64| complete(&n.to_string(), n, &json!(null), Keep::ALL);
    for n in 1..=5 {
        let step = json!({"op": "moveToCompleted", "id": n.to_string(), "token": format!("t:{n}"), "now": NOW + 1});
        let code = both.their_refusal(step);
        let ours = both.ours(vec![complete_all(n)], 0, 0, NOW + 1);
        assert_eq!(ours.verdicts, [Verdict::Refused(Refusal::from_code(code).unwrap())], "{n}");
        both.assert_same();
    }
    let together = both.ours((1..=5).map(complete_all).collect(), 0, 0, NOW + 1);
    let expected = [
        Refusal::MissingJob,
        Refusal::MissingLock,
        Refusal::LockTaken,
        Refusal::PendingChildren,
        Refusal::FailedChildren,
    ];
    assert_eq!(together.verdicts, expected.map(Verdict::Refused));
    both.assert_same();
}

#[test]
fn a_job_that_is_not_active_is_refused_and_keeps_its_lock() {
    let both = Both::start();
    let job = one_active(&both, &json!({}));
    both.both(&[&["DEL", "bull:q:active"]]);
    let ours = both.ours(vec![complete(&job, 1, &json!(1), Keep::ALL)], 0, 0, NOW + 1);
    assert_eq!(ours.verdicts, [Verdict::Refused(Refusal::NotInState)]);
    // BullMQ refuses alike, but has dropped the lock by then.
    let code = both.their_refusal(json!({"op": "moveToCompleted", "id": job, "token": "t:1", "now": NOW + 1}));
    assert_eq!(code, Refusal::NotInState.code());
    both.both(&[&["DEL", "bull:q:1:lock"], &["DEL", "bull:q:marker"]]);
    both.assert_same();
}

#[test]
fn metrics_count_by_the_minute() {
    let both = Both::without_markers();
    let minutes = [0, 0, 1, 1, 4, 5, 30];
    for (n, minute) in (1..).zip(minutes) {
        let now = NOW + minute * 60_000;
        both.add("n", &json!(1), &json!({}), now);
        let worker = json!({"lockDuration": 30_000, "metrics": {"maxDataPoints": 6}});
        let token = format!("t:{n}");
        let job = both.pair.theirs(json!({"op": "fetch", "queue": "q", "worker": worker, "token": token, "now": now}));
        let job = job["job"]["id"].as_str().unwrap().to_owned();
        both.ours(vec![], 1, n, now);
        both.pair.theirs(json!({"op": "moveToCompleted", "queue": "q", "worker": worker, "id": job, "value": 1,
            "token": token, "now": now}));
        let mut exchange = both.exchange_of(vec![complete(&job, n, &json!(1), Keep::ALL)], 0, 0, now);
        exchange.metrics = Some(6);
        both.send(&exchange);
        both.assert_same();
    }
}

#[test]
fn the_end_frees_a_deduplication_id() {
    for dedup in [json!({"id": "d"}), json!({"id": "d", "ttl": 60_000})] {
        let both = Both::without_markers();
        // Only BullMQ adds with deduplication so far; its records are copied as they are.
        both.theirs(json!({"op": "add", "name": "n", "data": 1, "opts": {"deduplication": dedup}, "now": NOW}));
        both.copy();
        let job = both.fetch(1, NOW + 1).unwrap();
        complete_both(&both, &job, 1, Keep::ALL, NOW + 2);
        both.assert_same();
    }
}

#[test]
fn the_end_requeues_the_job_that_was_held_back() {
    for held in [json!({}), json!({"delay": 500}), json!({"priority": 4}), json!({"lifo": true})] {
        let both = Both::without_markers();
        let mut opts = held.clone();
        opts["deduplication"] = json!({"id": "d", "keepLastIfActive": true});
        both.theirs(json!({"op": "add", "name": "n", "data": 1, "opts": opts, "now": NOW}));
        both.theirs(json!({"op": "add", "name": "other", "data": 1, "opts": {}, "now": NOW}));
        if held["delay"].is_number() {
            both.theirs(json!({"op": "queue", "method": "add", "args": ["x", 1, {}], "now": NOW}));
            both.pair
                .theirs(json!({"op": "job", "queue": "q", "id": "1", "method": "promote", "args": [], "now": NOW}));
        }
        both.copy();
        let mut n = 1;
        while both.fetch(n, NOW + 1).as_deref() != Some("1") {
            n += 1;
        }
        both.theirs(json!({"op": "add", "name": "last", "data": 2, "opts": opts, "now": NOW + 2}));
        both.copy();
        both.both(&[&["SET", "bull:q:1:lock", &format!("t:{n}"), "PX", "30000"]]);
        complete_both(&both, "1", n, Keep::ALL, NOW + 3);
        both.assert_same();
        let fetched = both.fetch(n + 1, NOW + 600);
        assert!(fetched.is_some());
        both.assert_same();
    }
}

#[test]
fn results_of_many_jobs_at_once() {
    // In any order, from the middle of `active` and from its end, with refusals between: as one by one.
    let both = Both::with(Options::default().without_key(":marker").events_in_any_order());
    for _ in 0..40 {
        both.add("n", &json!(1), &json!({}), NOW);
    }
    for n in 1..=40 {
        both.fetch(n, NOW);
    }
    let done: Vec<u64> = vec![40, 3, 1, 2, 17, 9, 10, 11, 30, 5];
    for n in &done {
        both.theirs(json!({"op": "moveToCompleted", "id": n.to_string(), "value": n, "token": format!("t:{n}"), "now": NOW + 1}));
    }
    let mut outcomes: Vec<Settle> = done.iter().map(|n| complete(&n.to_string(), *n, &json!(n), Keep::ALL)).collect();
    outcomes.insert(4, complete("nobody", 1, &json!(1), Keep::ALL));
    outcomes.push(complete("3", 3, &json!("again"), Keep::ALL));
    let ours = both.ours(outcomes, 0, 0, NOW + 1);
    assert_eq!(ours.verdicts[4], Verdict::Refused(Refusal::MissingJob));
    assert_eq!(ours.verdicts[11], Verdict::Refused(Refusal::MissingLock));
    assert_eq!(ours.verdicts.iter().filter(|verdict| **verdict == Verdict::Accepted).count(), 10);
    both.assert_same();
}
