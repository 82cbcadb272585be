//! What a child's end means to its parent, and parents that wait.

use super::edits::node;
use super::steps::{End, Held};
use super::*;
use crate::store::exchange::Verdict;

/// A flow on both sides: BullMQ adds it, and our database becomes a copy.
fn flow(both: &Both, parent_opts: &Value, child_opts: &[Value]) -> Vec<String> {
    let children: Vec<Value> = child_opts
        .iter()
        .enumerate()
        .map(|(i, opts)| {
            let mut opts = opts.clone();
            opts["jobId"] = format!("c{i}").into();
            json!({"name": "child", "queueName": "q", "data": i, "opts": opts})
        })
        .collect();
    let mut opts = parent_opts.clone();
    opts["jobId"] = "parent".into();
    let flow = json!({"name": "parent", "queueName": "q", "data": {}, "opts": opts, "children": children});
    both.pair.theirs(json!({"op": "flow", "flow": flow, "now": NOW}));
    both.copy();
    (0..child_opts.len()).map(|i| format!("c{i}")).collect()
}

/// Takes all children on both sides with tokens t:1, t:2 …
fn take_children(both: &Both, n: usize) {
    for n in 1..=n as u64 {
        let found = both.fetch(n, NOW + 1).unwrap();
        assert_eq!(found, format!("c{}", n - 1));
    }
}

fn end_both(both: &Both, child: &str, n: u64, ok: bool, now: u64) {
    let token = format!("t:{n}");
    if ok {
        both.theirs(json!({"op": "moveToCompleted", "id": child, "value": {"r": n}, "token": token, "now": now}));
        let ours = both.ours(vec![complete(child, n, &json!({"r": n}), Keep::ALL)], 0, 0, now);
        assert_eq!(ours.verdicts, [Verdict::Accepted]);
        assert!(ours.dropped.is_empty(), "{:?}", ours.dropped);
    } else {
        both.theirs(
            json!({"op": "moveToFailed", "id": child, "error": {"message": "boom"}, "token": token, "now": now}),
        );
        let ours = both.ours(vec![fail(child, n, "boom", 0, Keep::ALL)], 0, 0, now);
        assert_eq!(ours.verdicts, [Verdict::Accepted]);
        assert!(ours.dropped.is_empty(), "{:?}", ours.dropped);
        both.both(&[&["HSET", &format!("bull:q:{child}"), "stacktrace", "[]"]]);
    }
}

#[test]
fn the_last_child_frees_its_parent() {
    for parent in [json!({}), json!({"priority": 7}), json!({"delay": 5000}), json!({"lifo": true})] {
        let both = Both::without_markers();
        flow(&both, &parent, &[json!({}), json!({})]);
        take_children(&both, 2);
        end_both(&both, "c0", 1, true, NOW + 2);
        both.assert_same();
        end_both(&both, "c1", 2, true, NOW + 3);
        both.assert_same();
    }
}

#[test]
fn a_freed_parent_is_woken_for_like_any_job() {
    let both = Both::start();
    flow(&both, &json!({}), &[json!({})]);
    take_children(&both, 1);
    both.both(&[&["DEL", "bull:q:marker"]]);
    end_both(&both, "c0", 1, true, NOW + 2);
    both.assert_same();
}

#[test]
fn a_failed_child_does_what_its_flag_says() {
    for flag in [
        "failParentOnFailure",
        "continueParentOnFailure",
        "ignoreDependencyOnFailure",
        "removeDependencyOnFailure",
        "nothing",
    ] {
        for parent in [json!({}), json!({"priority": 3}), json!({"delay": 900})] {
            let both = Both::without_markers();
            flow(&both, &parent, &[json!({flag: true}), json!({flag: true})]);
            take_children(&both, 2);
            for (child, n) in [("c0", 1), ("c1", 2)] {
                end_both(&both, child, n, false, NOW + 1 + n);
                let found = both.pair.differences();
                assert!(found.is_empty(), "{flag} {parent} {child}: {found}");
            }
        }
    }
}

#[test]
fn a_child_that_fails_a_delayed_or_active_parent() {
    let both = Both::without_markers();
    flow(
        &both,
        &json!({"delay": 900}),
        &[json!({"continueParentOnFailure": true}), json!({"failParentOnFailure": true})],
    );
    take_children(&both, 2);
    end_both(&both, "c0", 1, false, NOW + 2);
    end_both(&both, "c1", 2, false, NOW + 3);
    both.assert_same();

    let both = Both::without_markers();
    flow(&both, &json!({}), &[json!({"continueParentOnFailure": true}), json!({"failParentOnFailure": true})]);
    take_children(&both, 2);
    end_both(&both, "c0", 1, false, NOW + 2);
    assert_eq!(both.fetch(3, NOW + 3).as_deref(), Some("parent"));
    end_both(&both, "c1", 2, false, NOW + 4);
    both.assert_same();
}

#[test]
fn a_child_that_is_removed_as_it_ends_still_tells() {
    let both = Both::without_markers();
    flow(&both, &json!({}), &[json!({"removeOnComplete": true})]);
    take_children(&both, 1);
    both.theirs(json!({"op": "moveToCompleted", "id": "c0", "value": 1, "token": "t:1", "now": NOW + 2}));
    both.ours(vec![complete("c0", 1, &json!(1), Keep::NONE)], 0, 0, NOW + 2);
    both.assert_same();
}

#[test]
fn a_parent_in_another_queue() {
    let both = Both::start();
    let child = json!({"name": "child", "queueName": "q", "data": 1, "opts": {"jobId": "c0"}});
    let flow = json!({"name": "p", "queueName": "other", "data": {}, "opts": {"jobId": "p"}, "children": [child]});
    both.pair.theirs(json!({"op": "flow", "flow": flow, "now": NOW}));
    both.copy();
    take_children(&both, 1);
    both.both(&[&["DEL", "bull:q:marker"]]);
    end_both(&both, "c0", 1, true, NOW + 2);
    both.assert_same();
}

#[test]
fn waiting_for_children() {
    let both = Both::without_markers();
    flow(&both, &json!({}), &[json!({"continueParentOnFailure": true}), json!({})]);
    take_children(&both, 2);
    end_both(&both, "c0", 1, false, NOW + 2);
    assert_eq!(both.fetch(3, NOW + 3).as_deref(), Some("parent"));
    let wait = || settle("parent", 3, Transition::WaitForChildren);
    let theirs = both.theirs(json!({"op": "moveToWaitingChildren", "id": "parent", "token": "t:3", "now": NOW + 4}));
    assert_eq!(theirs, true);
    assert_eq!(both.ours(vec![wait()], 0, 0, NOW + 4).verdicts, [Verdict::Accepted]);
    both.assert_same();
    end_both(&both, "c1", 2, true, NOW + 5);
    assert_eq!(both.fetch(3, NOW + 6).as_deref(), Some("parent"));
    let theirs = both.theirs(json!({"op": "moveToWaitingChildren", "id": "parent", "token": "t:3", "now": NOW + 7}));
    assert_eq!(theirs, false);
    assert_eq!(both.ours(vec![wait()], 0, 0, NOW + 7).verdicts, [Verdict::Resume]);
    both.assert_same();
    both.both(&[&["ZADD", "bull:q:parent:unsuccessful", "1", "x"]]);
    let refused =
        both.their_refusal(json!({"op": "moveToWaitingChildren", "id": "parent", "token": "t:3", "now": NOW + 7}));
    assert_eq!(
        both.ours(vec![wait()], 0, 0, NOW + 7).verdicts,
        [Verdict::Refused(Refusal::from_code(refused).unwrap())]
    );
    both.assert_same();
}

#[test]
fn child_and_parent_in_one_call_see_each_other() {
    let both = Both::without_markers();
    flow(&both, &json!({}), &[json!({"continueParentOnFailure": true}), json!({})]);
    take_children(&both, 2);
    end_both(&both, "c0", 1, false, NOW + 2);
    assert_eq!(both.fetch(3, NOW + 3).as_deref(), Some("parent"));
    both.theirs(json!({"op": "moveToCompleted", "id": "c1", "value": 1, "token": "t:2", "now": NOW + 4}));
    both.theirs(json!({"op": "moveToCompleted", "id": "parent", "value": 2, "token": "t:3", "now": NOW + 4}));
    let outcomes = vec![complete("c1", 2, &json!(1), Keep::ALL), complete("parent", 3, &json!(2), Keep::ALL)];
    assert_eq!(both.ours(outcomes, 0, 0, NOW + 4).verdicts, [Verdict::Accepted, Verdict::Accepted]);
    both.assert_same();
}

#[test]
fn a_damaged_parent_costs_a_report_and_not_the_child() {
    let both = Both::start();
    flow(&both, &json!({}), &[json!({})]);
    take_children(&both, 1);
    both.both(&[&["DEL", "bull:q:parent:dependencies"], &["SET", "bull:q:parent:dependencies", "text"]]);
    let ours = both.ours(vec![complete("c0", 1, &json!(1), Keep::ALL)], 0, 0, NOW + 2);
    assert_eq!(ours.verdicts, [Verdict::Accepted]);
    assert!(ours.dropped[0].id == "c0" && ours.dropped[0].why.contains("WRONGTYPE"), "{:?}", ours.dropped);
}

const FLAGS: [&str; 5] = [
    "failParentOnFailure",
    "continueParentOnFailure",
    "ignoreDependencyOnFailure",
    "removeDependencyOnFailure",
    "unflagged",
];

#[test]
fn a_failure_goes_up_to_the_grandparent() {
    let both = Both::without_markers();
    for flag in FLAGS {
        for middle_opts in [json!({}), json!({"removeOnFail": true})] {
            both.wipe();
            let mut opts = middle_opts.clone();
            opts[flag] = true.into();
            let child = node("child", "q", &json!({"failParentOnFailure": true}), &[]);
            let middle = node("middle", "q", &opts, &[child]);
            both.tree(&node("top", "q", &json!({}), &[middle]));
            let child = both.hold(1, NOW);
            both.end(&child, End::Failed, NOW + 1);
            both.assert_same();
            // Its worker sees the deferred failure and fails it.
            let middle = both.hold(2, NOW + 2);
            assert_eq!(middle.id, "middle");
            both.end(&middle, End::Failed, NOW + 3);
            let found = both.pair.differences();
            assert!(found.is_empty(), "{flag}: {found}");
            if let Some(top) = both.take(3, NOW + 4) {
                let end = if flag == FLAGS[0] { End::Failed } else { End::Completed };
                both.end(&top, end, NOW + 5);
                both.assert_same();
            }
        }
    }
}

#[test]
fn a_parent_in_another_queue_of_every_kind() {
    let both = Both::start();
    let grounds: [&[&str]; 4] = [
        &["HSET", "bull:other:meta", "concurrency", "9"],
        &["HSET", "bull:other:meta", "paused", "1"],
        &["HSET", "bull:q:meta", "paused", "1"],
        &["HSET", "bull:other:meta", "concurrency", "0"],
    ];
    for ground in grounds {
        for parent in [json!({}), json!({"priority": 2}), json!({"delay": 60})] {
            for (flag, end) in FLAGS.into_iter().map(|flag| (flag, End::Failed)).chain([("unflagged", End::Completed)])
            {
                both.wipe();
                let child = node("c", "q", &json!({flag: true}), &[]);
                both.tree(&node("p", "other", &parent, &[child]));
                let child = both.hold(1, NOW);
                both.both(&[ground, &["DEL", "bull:q:marker"], &["DEL", "bull:other:marker"]]);
                both.end(&child, end, NOW + 2);
                let found = both.pair.differences();
                assert!(found.is_empty(), "{ground:?} {parent} {flag} {end:?}: {found}");
            }
        }
    }
}

#[test]
fn a_parent_that_is_elsewhere_by_now() {
    let both = Both::without_markers();
    let places: [&[&[&str]]; 5] = [
        &[&["ZADD", "bull:q:delayed", "6963200003072000", "p"]],
        &[&["LPUSH", "bull:q:active", "p"]],
        &[&["ZADD", "bull:q:failed", "5", "p"]],
        &[&["ZADD", "bull:q:completed", "5", "p"]],
        &[&["DEL", "bull:q:p"]],
    ];
    for place in places {
        for (flag, end) in FLAGS.into_iter().map(|flag| (flag, End::Failed)).chain([("unflagged", End::Completed)]) {
            both.wipe();
            both.tree(&node("p", "q", &json!({"delay": 60}), &[node("c", "q", &json!({flag: true}), &[])]));
            let child = both.hold(1, NOW);
            both.both(&[&["ZREM", "bull:q:waiting-children", "p"]]);
            both.both(place);
            both.end(&child, end, NOW + 2);
            let found = both.pair.differences();
            assert!(found.is_empty(), "{place:?} {flag} {end:?}: {found}");
        }
    }
}

#[test]
fn a_child_that_its_parent_knows_no_more() {
    let both = Both::without_markers();
    for (flag, end) in FLAGS.into_iter().map(|flag| (flag, End::Failed)).chain([("unflagged", End::Completed)]) {
        for opts in [json!({}), json!({"removeOnComplete": true, "removeOnFail": true})] {
            both.wipe();
            let mut opts = opts;
            opts[flag] = true.into();
            let children = [node("c", "q", &opts, &[]), node("d", "q", &json!({}), &[])];
            both.tree(&node("p", "q", &json!({}), &children));
            let child = both.hold(1, NOW);
            both.both(&[&["SREM", "bull:q:p:dependencies", "bull:q:c"]]);
            both.end(&child, end, NOW + 2);
            let found = both.pair.differences();
            assert!(found.is_empty(), "{flag} {end:?}: {found}");
        }
    }
}

#[test]
fn an_older_client_wrote_the_parents_key_alone() {
    let both = Both::without_markers();
    for end in [End::Completed, End::Failed] {
        both.wipe();
        let child = node("c", "q", &json!({"failParentOnFailure": true}), &[]);
        both.tree(&node("p", "other", &json!({}), &[child]));
        let child = both.hold(1, NOW);
        both.both(&[&["HDEL", "bull:q:c", "parent"]]);
        both.end(&child, end, NOW + 2);
        let found = both.pair.differences();
        assert!(found.is_empty(), "{end:?}: {found}");
    }
}

#[test]
fn a_failed_child_that_is_not_kept_holds_nobody() {
    let both = Both::start();
    for flag in FLAGS {
        for parent in [json!({}), json!({"priority": 2}), json!({"delay": 60})] {
            both.wipe();
            let child = node("c", "q", &json!({flag: true, "removeOnFail": true}), &[]);
            both.tree(&node("p", "other", &parent, &[child]));
            let child = both.hold(1, NOW);
            both.both(&[&["DEL", "bull:q:marker"], &["DEL", "bull:other:marker"]]);
            both.end(&child, End::Failed, NOW + 2);
            let found = both.pair.differences();
            assert!(found.is_empty(), "{flag} {parent}: {found}");
        }
    }
}

/// Two parents wait for a child each that failed without a flag; the children go when a rule removes them.
fn two_with_failed_children(both: &Both) {
    for (n, (parent, child)) in (1..).zip([("p", "c"), ("r", "d")]) {
        both.tree(&node(parent, "q", &json!({}), &[node(child, "q", &json!({}), &[])]));
        let child = both.hold(n, NOW);
        both.end(&child, End::Failed, NOW + n);
    }
}

#[test]
fn parents_whose_children_a_rule_removes_are_freed_in_the_same_order() {
    let both = Both::without_markers();
    two_with_failed_children(&both);
    both.add("n", &json!(1), &json!({"removeOnFail": 1}), NOW);
    let last = both.hold(3, NOW + 3);
    both.end(&last, End::Failed, NOW + 4);
    assert_eq!(both.hold(4, NOW + 5).id, "p");
    assert_eq!(both.hold(5, NOW + 5).id, "r");
    // Removal comes after the event of the end, in BullMQ before it.
    let found = both.differences_of_a_batch();
    assert!(found.is_empty(), "{found}");
}

#[test]
fn a_parent_that_a_rule_frees_stands_behind_what_a_later_outcome_of_the_call_puts_in_front() {
    let both = Both::without_markers();
    two_with_failed_children(&both);
    both.add("n", &json!(1), &json!({"removeOnFail": 1}), NOW);
    for _ in 0..3 {
        both.add("n", &json!(1), &json!({}), NOW);
    }
    let held: Vec<Held> = (3..7).map(|n| both.hold(n, NOW + 3)).collect();
    let ends = [End::Failed, End::PutBack, End::Retried { lifo: true }, End::Completed];
    let theirs: Vec<_> = held.iter().zip(ends).map(|(held, end)| both.their_end(held, end, NOW + 4)).collect();
    let outcomes = held.iter().zip(ends).map(|(held, end)| held.ours(end)).collect();
    assert_eq!(both.ours(outcomes, 0, 0, NOW + 4).verdicts, theirs);
    let found = both.differences_of_a_batch();
    assert!(found.is_empty(), "{found}");
}
