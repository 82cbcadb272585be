//! Promoted, another delay, another priority.

use super::edits::{GROUNDS, one_in_each_state};
use super::*;
use crate::JobState;
use crate::store::change::{Change, ChangeJob};

fn priority(priority: u32, lifo: bool) -> Change {
    Change::Priority { priority, lifo }
}

fn delay(ms: u64) -> Change {
    Change::Delay(Duration::from_millis(ms))
}

#[test]
fn a_delayed_job_is_promoted_to_where_it_runs_from() {
    let both = Both::start();
    for ground in GROUNDS {
        for opts in [json!({}), json!({"priority": 4}), json!({"lifo": true})] {
            both.wipe();
            both.add("other", &json!(1), &json!({}), NOW);
            let mut opts = opts;
            opts["delay"] = 500.into();
            let job = both.add("n", &json!(1), &opts, NOW);
            both.both(&[ground, &["DEL", "bull:q:marker"]]);
            assert_eq!(both.edit(&job, &Change::Promote, NOW + 3), Ok(()));
            both.assert_same();
            assert_eq!(both.edit(&job, &Change::Promote, NOW + 4), Err(Refusal::NotInState));
            both.assert_same();
        }
    }
}

#[test]
fn only_a_delayed_job_is_promoted_or_delayed_anew() {
    let both = Both::start();
    for change in [Change::Promote, delay(700)] {
        both.wipe();
        for (state, job) in one_in_each_state(&both) {
            let expected = if state == JobState::Delayed { Ok(()) } else { Err(Refusal::NotInState) };
            assert_eq!(both.edit(&job, &change.clone(), NOW + 1), expected, "{state}");
            both.assert_same();
        }
        assert_eq!(both.edit("nobody", &delay(700), NOW), Err(Refusal::MissingJob));
        assert_eq!(both.edit("nobody", &priority(7, false), NOW), Err(Refusal::MissingJob));
        both.assert_same();
    }
}

/// BullMQ makes a record without a name of it.
#[test]
fn an_id_without_a_record_is_not_promoted() {
    let both = Both::start();
    both.both(&[&["ZADD", "bull:q:delayed", "6963200003072000", "ghost"]]);
    assert_eq!(both.their_edit("ghost", &Change::Promote, NOW), Ok(()));
    assert_eq!(both.our_edit("ghost", Change::Promote, NOW), Err(Refusal::MissingJob));
}

#[test]
fn a_promoted_job_runs_and_others_stay() {
    let both = Both::without_markers();
    for delay in [300, 200, 300, 100] {
        both.add("n", &json!(1), &json!({"delay": delay}), NOW);
    }
    both.edit("3", &Change::Promote, NOW + 1).unwrap();
    both.edit("1", &Change::Promote, NOW + 1).unwrap();
    both.assert_same();
    assert_eq!(["3", "1"], [both.hold(1, NOW + 2).id, both.hold(2, NOW + 2).id].each_ref().map(String::as_str));
    assert!(both.take(3, NOW + 2).is_none());
    both.assert_same();
}

#[test]
fn another_delay_counts_from_now() {
    let both = Both::start();
    for ground in GROUNDS {
        for ms in [0, 1, 50, 400, 900_000_000] {
            both.wipe();
            let job = both.add("n", &json!(1), &json!({"delay": 500}), NOW);
            both.both(&[ground, &["DEL", "bull:q:marker"]]);
            both.edit(&job, &delay(ms), NOW + 300).unwrap();
            both.assert_same();
        }
    }
}

/// Without markers: theirs has the fraction that tells apart jobs of one millisecond.
#[test]
fn jobs_that_come_to_one_millisecond_keep_their_order() {
    let both = Both::without_markers();
    for wait in [100, 200, 300, 400] {
        both.add("n", &json!(1), &json!({"delay": wait}), NOW);
    }
    for (job, wait) in [("4", 200), ("2", 200), ("3", 200), ("4", 200), ("1", 100), ("1", 0)] {
        both.edit(job, &delay(wait), NOW).unwrap();
        both.assert_same();
    }
    both.both(&[&["ZADD", "bull:q:delayed", "6963200000819199", "full"]]);
    both.edit("1", &delay(199), NOW).unwrap();
    both.edit("2", &delay(199), NOW).unwrap();
    both.assert_same();
}

#[test]
fn another_priority_in_every_state() {
    let both = Both::start();
    for ground in GROUNDS {
        for change in [priority(0, false), priority(0, true), priority(9, false), priority(9, true)] {
            both.wipe();
            for (state, job) in one_in_each_state(&both) {
                both.both(&[ground]);
                both.edit(&job, &change.clone(), NOW + 1).unwrap();
                let found = both.pair.differences();
                assert!(found.is_empty(), "{ground:?} {change:?} {state}: {found}");
            }
        }
    }
}

#[test]
fn among_others_behind_or_before_its_equals() {
    let both = Both::without_markers();
    for opts in [json!({}), json!({"priority": 2}), json!({}), json!({"priority": 2}), json!({"priority": 5})] {
        both.add("n", &json!(1), &opts, NOW);
    }
    let steps = [
        ("1", priority(2, false)),
        ("5", priority(2, true)),
        ("3", priority(2, true)),
        ("2", priority(0, false)),
        ("4", priority(0, true)),
        ("2", priority(2_097_151, false)),
        ("2", priority(2_097_151, true)),
        ("1", priority(1, false)),
        ("1", priority(0, true)),
        ("3", priority(1, true)),
    ];
    for (job, change) in steps {
        both.edit(job, &change, NOW + 1).unwrap();
        both.assert_same();
    }
    for n in 1..=5 {
        both.hold(n, NOW + 2);
        both.assert_same();
    }
}

/// BullMQ looks for it in `wait` only, and so loses the priority when the list is merged.
#[test]
fn one_that_an_older_client_put_aside_gets_its_priority_too() {
    for (change, paused, ranked) in [
        (priority(0, false), vec!["1", "2", "3"], 0),
        (priority(0, true), vec!["2", "3", "1"], 0),
        (priority(7, false), vec!["2", "3"], 1),
        (priority(7, true), vec!["2", "3"], 1),
    ] {
        let both = Both::ours_alone();
        both.add("n", &json!(1), &json!({}), NOW);
        both.both(&[&["DEL", "bull:q:wait"], &["RPUSH", "bull:q:paused", "1", "2", "3"]]);
        both.our_edit("1", change, NOW).unwrap();
        let mut ours = interop::redis::connect(&both.pair.ours());
        let list: Vec<String> = redis::cmd("LRANGE").arg("bull:q:paused").arg(0).arg(-1).query(&mut ours).unwrap();
        let count: u64 = redis::cmd("ZCARD").arg("bull:q:prioritized").query(&mut ours).unwrap();
        assert_eq!((list, count), (paused.into_iter().map(str::to_owned).collect(), ranked));
    }
}

#[test]
fn only_the_holder_moves_it_when_it_says_who_it_is() {
    let both = Both::ours_alone();
    both.add("n", &json!(1), &json!({"delay": 900}), NOW);
    let edit = |holder: Option<&str>, change: Change| {
        let change = ChangeJob { id: id("1"), now: at(NOW), holder: holder.map(Into::into), change };
        both.runtime.block_on(both.queue.change(&change)).map(drop).map_err(|e| e.refusal())
    };
    let all = || {
        let remove = Change::Remove { children: true };
        [Change::Promote, delay(5), priority(1, false), super::edits::reprocess(None), remove]
    };
    for change in all() {
        assert_eq!(edit(Some("t:1"), change.clone()), Err(Some(Refusal::MissingLock)), "{change:?}");
    }
    both.both(&[&["SET", "bull:q:1:lock", "t:1", "PX", "60000"]]);
    let before = interop::keyspace::dump(&both.pair.ours());
    for change in all() {
        assert_eq!(edit(Some("t:2"), change.clone()), Err(Some(Refusal::LockTaken)), "{change:?}");
    }
    assert_eq!(interop::keyspace::differences(&before, &interop::keyspace::dump(&both.pair.ours())), "");
    assert_eq!(edit(Some("t:1"), delay(5)), Ok(()));
}

/// Nothing is half done when a key that is needed is of another type.
#[test]
fn a_key_of_another_type_leaves_everything_as_it_was() {
    let both = Both::ours_alone();
    let job = both.add("n", &json!(1), &json!({"delay": 900}), NOW);
    both.both(&[&["SET", "bull:q:wait", "text"]]);
    let before = interop::keyspace::dump(&both.pair.ours());
    for change in [Change::Promote, priority(1, false)] {
        let change = ChangeJob { id: id(&job), now: at(NOW), holder: None, change };
        let error = both.runtime.block_on(both.queue.change(&change)).unwrap_err();
        assert!(error.to_string().contains("wrong type"), "{error}");
        assert_eq!(before, interop::keyspace::dump(&both.pair.ours()));
    }
}
