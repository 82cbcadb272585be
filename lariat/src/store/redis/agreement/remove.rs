//! Jobs deleted, with what belongs to them, and with the jobs below them.

use super::edits::{Said, node, one_in_each_state};
use super::steps::End;
use super::*;
use crate::JobState;
use crate::store::change::Change;

const WITH: Change = Change::Remove { children: true };
const WITHOUT: Change = Change::Remove { children: false };

#[track_caller]
fn remove(both: &Both, job: &str) -> Said {
    both.edit(job, &WITH, NOW + 10)
}

#[test]
fn from_every_state() {
    for change in [WITH, WITHOUT] {
        let both = Both::start();
        for (state, job) in one_in_each_state(&both) {
            let expected = if state == JobState::Active { Err(Refusal::LockTaken) } else { Ok(()) };
            assert_eq!(both.edit(&job, &change.clone(), NOW + 1), expected, "{state}");
            let found = both.pair.differences();
            assert!(found.is_empty(), "{state} {change:?}: {found}");
            if state == JobState::WaitingChildren {
                break; // its child is gone with it, or is waiting alone
            }
        }
        for opts in [json!({}), json!({"priority": 1}), json!({"delay": 40})] {
            let job = both.add("n", &json!(1), &opts, NOW);
            both.both(&[&["RPUSH", &format!("bull:q:{job}:logs"), "a", "b"]]);
            both.edit(&job, &change.clone(), NOW + 1).unwrap();
            both.assert_same();
        }
    }
}

#[test]
fn one_that_is_active_without_a_lock_or_put_aside() {
    let both = Both::without_markers();
    both.add("n", &json!(1), &json!({}), NOW);
    both.hold(1, NOW);
    both.search(NOW + 1);
    both.both(&[&["DEL", "bull:q:1:lock"]]);
    assert_eq!(remove(&both, "1"), Ok(()));
    both.assert_same();
    both.add("n", &json!(1), &json!({}), NOW);
    both.both(&[&["DEL", "bull:q:wait"], &["RPUSH", "bull:q:paused", "x", "2", "y"]]);
    assert_eq!(remove(&both, "2"), Ok(()));
    both.assert_same();
}

/// BullMQ says that it removed a job that there is not; we say that there is none. An id that is listed without a record
/// goes.
#[test]
fn one_that_is_not_there() {
    let both = Both::start();
    assert_eq!(both.their_edit("nobody", &WITH, NOW), Ok(()));
    assert_eq!(both.our_edit("nobody", WITH, NOW), Err(Refusal::MissingJob));
    both.assert_same();
    both.both(&[&["RPUSH", "bull:q:wait", "ghost"], &["RPUSH", "bull:q:orphan:logs", "row"]]);
    assert_eq!(remove(&both, "ghost"), Ok(()));
    both.assert_same();
    // What is left of a job without a record goes too, and is announced.
    assert_eq!(remove(&both, "orphan"), Ok(()));
    both.assert_same();
}

#[test]
fn a_record_that_is_in_no_state() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({}), NOW);
    both.both(&[&["DEL", "bull:q:wait"]]);
    assert_eq!(remove(&both, "1"), Ok(()));
    both.assert_same();
}

#[test]
fn the_deduplication_id_that_it_owns_is_free() {
    let both = Both::without_markers();
    for dedup in [json!({"id": "d"}), json!({"id": "d", "ttl": 60_000}), json!({"id": "d", "keepLastIfActive": true})] {
        for foreign in [false, true] {
            both.wipe();
            let add = json!({"op": "add", "name": "n", "data": 1, "opts": {"deduplication": dedup}, "now": NOW});
            both.by_node(add.clone()).unwrap();
            if dedup["keepLastIfActive"] == true {
                both.hold(1, NOW);
                both.by_node(add).unwrap();
                both.both(&[&["DEL", "bull:q:1:lock"]]);
            }
            if foreign {
                both.both(&[&["SET", "bull:q:de:d", "77"]]);
            }
            assert_eq!(remove(&both, "1"), Ok(()));
            let found = both.pair.differences();
            assert!(found.is_empty(), "{dedup} {foreign}: {found}");
        }
    }
}

#[test]
fn the_current_job_of_a_scheduler_stays() {
    let both = Both::without_markers();
    let upsert = json!({"op": "queue", "method": "upsertJobScheduler", "args": ["tick", {"every": 60_000}, {"name": "n"}], "now": NOW});
    both.by_node(upsert).unwrap();
    let current = format!("repeat:tick:{NOW}");
    for change in [WITH, WITHOUT] {
        assert_eq!(both.edit(&current, &change, NOW + 1), Err(Refusal::SchedulerJob));
        both.assert_same();
    }
    // One that is no longer the current one goes; so does one whose scheduler is gone.
    both.both(&[&["ZADD", "bull:q:repeat", "1700000060000", "tick"]]);
    assert_eq!(remove(&both, &current), Ok(()));
    both.assert_same();
}

#[test]
fn a_child_that_goes_frees_its_parent() {
    let both = Both::start();
    for parents_queue in ["q", "other"] {
        for opts in [json!({}), json!({"priority": 2}), json!({"delay": 70})] {
            for ground in [&["HDEL", "bull:q:meta", "x"][..], &["HSET", "bull:other:meta", "paused", "1"]] {
                both.wipe();
                let children = [node("c", "q", &json!({}), &[]), node("d", "q", &json!({}), &[])];
                both.tree(&node("p", parents_queue, &opts, &children));
                both.both(&[ground, &["DEL", "bull:q:marker"], &["DEL", "bull:other:marker"]]);
                for child in ["c", "d"] {
                    assert_eq!(remove(&both, child), Ok(()));
                    let found = both.pair.differences();
                    assert!(found.is_empty(), "{parents_queue} {opts} {ground:?} {child}: {found}");
                }
            }
        }
    }
}

#[test]
fn a_parent_that_is_gone_or_elsewhere_is_let_be() {
    let both = Both::without_markers();
    let grounds: [&[&str]; 3] = [
        &["DEL", "bull:q:p"],
        &["ZREM", "bull:q:waiting-children", "p"],
        &["SREM", "bull:q:p:dependencies", "bull:q:c"],
    ];
    for ground in grounds {
        both.wipe();
        both.tree(&node("p", "q", &json!({}), &[node("c", "q", &json!({}), &[])]));
        both.both(&[ground]);
        assert_eq!(remove(&both, "c"), Ok(()));
        let found = both.pair.differences();
        assert!(found.is_empty(), "{ground:?}: {found}");
    }
}

/// Three floors, in two queues, with children that have ended in every way.
fn tower(both: &Both, ended: &[(&str, End)]) {
    let leaf = |id: &str, flag: &str| node(id, "q", &json!({flag: true}), &[]);
    let children = [
        leaf("c1", "none"),
        leaf("c2", "continueParentOnFailure"),
        leaf("c3", "ignoreDependencyOnFailure"),
        leaf("c4", "removeDependencyOnFailure"),
        leaf("c5", "failParentOnFailure"),
    ];
    let other = node("o", "other", &json!({}), &[node("deep", "q", &json!({"delay": 900}), &[])]);
    let middle = node("m", "other", &json!({}), &children);
    both.tree(&node("top", "q", &json!({}), &[middle, other]));
    for (n, (job, end)) in (1..).zip(ended) {
        let held = both.hold(n, NOW + 1);
        assert_eq!(held.id, *job);
        both.end(&held, *end, NOW + 2);
    }
    both.assert_same();
}

#[test]
fn all_below_it_go_too() {
    let all =
        [("c1", End::Completed), ("c2", End::Failed), ("c3", End::Failed), ("c4", End::Failed), ("c5", End::Failed)];
    let both = Both::with(Options::default().without_key(":marker").events_in_any_order());
    for ends in 0..=all.len() {
        for job in ["top", "c1", "deep"] {
            for change in [WITH, WITHOUT] {
                both.wipe();
                tower(&both, &all[..ends]);
                assert_eq!(both.edit(job, &change.clone(), NOW + 5), Ok(()));
                let found = both.pair.differences();
                assert!(found.is_empty(), "{ends} ended, {job}, {change:?}: {found}");
            }
        }
    }
}

#[test]
fn held_below_is_held() {
    let both = Both::without_markers();
    tower(&both, &[("c1", End::Completed)]);
    assert_eq!(both.hold(5, NOW + 3).id, "c2");
    assert_eq!(remove(&both, "top"), Err(Refusal::LockTaken));
    both.assert_same();
    assert_eq!(remove(&both, "c2"), Err(Refusal::LockTaken));
    both.assert_same();
    // Alone it goes: its children are nobody's then.
    assert_eq!(both.edit("top", &WITHOUT, NOW + 6), Ok(()));
    both.assert_same();
}

/// Records that somebody has linked in a circle do not hold the server.
#[test]
fn a_circle_ends() {
    let both = Both::ours_alone();
    both.add("n", &json!(1), &json!({}), NOW);
    both.add("n", &json!(1), &json!({}), NOW);
    for (one, two) in [("1", "2"), ("2", "1")] {
        both.both(&[
            &["SADD", &format!("bull:q:{one}:dependencies"), &format!("bull:q:{two}")],
            &["HSET", &format!("bull:q:{one}:processed"), &format!("bull:q:{two}"), "1"],
            &["HSET", &format!("bull:q:{one}"), "parentKey", &format!("bull:q:{two}")],
        ]);
    }
    both.our_edit("1", WITH, NOW).unwrap();
    let mut ours = interop::redis::connect(&both.pair.ours());
    let left: Vec<String> = redis::cmd("KEYS").arg("bull:q:[12]*").query(&mut ours).unwrap();
    assert_eq!(left, Vec::<String>::new());
}

/// Its id has colons; BullMQ would look for it in a queue `q:repeat:tick`.
#[test]
fn a_schedulers_job_below_goes_too() {
    let both = Both::ours_alone();
    both.add("n", &json!(1), &json!({}), NOW);
    both.both(&[
        &["HSET", "bull:q:repeat:tick:5", "name", "n"],
        &["ZADD", "bull:q:completed", "5", "repeat:tick:5"],
        &["HSET", "bull:q:1:processed", "bull:q:repeat:tick:5", "null"],
    ]);
    both.our_edit("1", WITH, NOW).unwrap();
    let counts = both.runtime.block_on(both.queue.overview()).unwrap().counts;
    assert_eq!((counts.completed, counts.waiting), (0, 0));
    assert!(both.runtime.block_on(both.queue.job(&id("repeat:tick:5"))).unwrap().is_none());
}
