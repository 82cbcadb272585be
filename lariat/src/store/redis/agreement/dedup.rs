//! Deduplication ids: free when their owner has ended for good; the job that was held back is added then.

use super::steps::{End, Held};
use super::*;

fn owner(both: &Both, opts: &Value) -> Held {
    both.by_node(json!({"op": "add", "name": "owner", "data": 1, "opts": opts, "now": NOW})).unwrap();
    both.hold(1, NOW + 5000)
}

fn with_dedup(opts: &Value, dedup: &Value) -> Value {
    let mut opts = opts.clone();
    opts["deduplication"] = dedup.clone();
    opts
}

#[test]
fn the_id_is_free_after_the_end_unless_it_has_a_life_of_its_own() {
    let both = Both::without_markers();
    for dedup in [
        json!({"id": "d"}),
        json!({"id": "d", "ttl": 60_000}),
        json!({"id": "d", "ttl": 60_000, "extend": true}),
        json!({"id": "d", "replace": true}),
        json!({"id": "d:e f", "keepLastIfActive": true}),
    ] {
        for keep in [json!({}), json!({"removeOnComplete": true, "removeOnFail": true})] {
            for end in [End::Completed, End::Failed] {
                both.wipe();
                let job = owner(&both, &with_dedup(&keep, &dedup));
                both.end(&job, end, NOW + 5001);
                both.assert_same();
            }
        }
    }
}

#[test]
fn an_attempt_that_is_not_the_last_keeps_the_id() {
    let both = Both::without_markers();
    for end in [End::Retried { lifo: false }, End::BackedOff(5), End::Delayed(5), End::PutBack] {
        both.wipe();
        let job = owner(&both, &json!({"deduplication": {"id": "d"}}));
        both.end(&job, end, NOW + 5001);
        both.assert_same();
        let again = both.hold(2, NOW + 5010);
        both.end(&again, End::Completed, NOW + 5011);
        both.assert_same();
    }
}

#[test]
fn an_id_that_belongs_to_another_job_by_now_stays() {
    let both = Both::without_markers();
    let job = owner(&both, &json!({"deduplication": {"id": "d"}}));
    both.both(&[&["SET", "bull:q:de:d", "17"]]);
    both.end(&job, End::Completed, NOW + 5001);
    both.assert_same();
}

#[test]
fn the_held_job_comes_with_all_that_it_was_to_have() {
    let both = Both::without_markers();
    let dedup = json!({"id": "d", "keepLastIfActive": true});
    for held in [
        json!({}),
        json!({"delay": 500}),
        json!({"priority": 4}),
        json!({"priority": 4, "delay": 500}),
        json!({"lifo": true}),
        json!({"jobId": "mine"}),
        json!({"attempts": 3, "backoff": {"type": "fixed", "delay": 1}, "removeOnComplete": {"age": 5}}),
    ] {
        for end in [End::Completed, End::Failed] {
            both.wipe();
            let job = owner(&both, &with_dedup(&json!({}), &dedup));
            both.add("other", &json!(1), &json!({}), NOW);
            both.add("other", &json!(1), &json!({"priority": 4}), NOW);
            let opts = with_dedup(&held, &dedup);
            for data in [json!("first"), json!({"last": [1, 2.5, null]})] {
                both.by_node(json!({"op": "add", "name": "held", "data": data, "opts": opts, "now": NOW + 5001}))
                    .unwrap();
            }
            both.end(&job, end, NOW + 5002);
            let found = both.pair.differences();
            assert!(found.is_empty(), "{held} {end:?}: {found}");
            // It owns the id now; its end frees it.
            for n in 2..=4 {
                let next = both.hold(n, NOW + 6000);
                both.end(&next, End::Completed, NOW + 6001);
            }
            let found = both.pair.differences();
            assert!(found.is_empty(), "{held} {end:?} later: {found}");
        }
    }
}

#[test]
fn the_held_job_wakes_like_any_other() {
    let both = Both::start();
    let opts = json!({"deduplication": {"id": "d", "keepLastIfActive": true}});
    for ground in [None, Some(["paused", "1"]), Some(["concurrency", "1"])] {
        for more in [json!({}), json!({"delay": 5}), json!({"priority": 1})] {
            both.wipe();
            let job = owner(&both, &opts);
            let mut held = more.clone();
            held["deduplication"] = opts["deduplication"].clone();
            both.by_node(json!({"op": "add", "name": "held", "data": 1, "opts": held, "now": NOW + 5001})).unwrap();
            if let Some([field, value]) = ground {
                both.both(&[&["HSET", "bull:q:meta", field, value]]);
            }
            both.both(&[&["DEL", "bull:q:marker"]]);
            both.end(&job, End::Completed, NOW + 5002);
            let found = both.pair.differences();
            assert!(found.is_empty(), "{ground:?} {more}: {found}");
        }
    }
}

#[test]
fn a_held_child_is_its_parents_again() {
    // No client makes such a one any more; older ones did.
    let both = Both::without_markers();
    let job = owner(&both, &json!({"deduplication": {"id": "d", "keepLastIfActive": true}}));
    let parent = r#"{"id":"p","queueKey":"bull:q"}"#;
    both.both(&[
        &["HSET", "bull:q:p", "name", "p", "data", "1", "opts", "{}", "timestamp", "1", "delay", "0", "priority", "0"],
        &["ZADD", "bull:q:waiting-children", "1", "p"],
        &["HSET", "bull:q:dn:d", "name", "held", "data", "5"],
        &["HSET", "bull:q:dn:d", "opts", r#"{"attempts":0,"de":{"id":"d","keepLastIfActive":true}}"#],
        &["HSET", "bull:q:dn:d", "pk", "bull:q:p", "pd", parent, "pdk", "bull:q:p:dependencies"],
    ]);
    both.end(&job, End::Completed, NOW + 5002);
    both.assert_same();
    let held = both.hold(2, NOW + 5003);
    both.end(&held, End::Completed, NOW + 5004);
    both.assert_same();
    assert_eq!(both.hold(3, NOW + 5005).id, "p");
}
