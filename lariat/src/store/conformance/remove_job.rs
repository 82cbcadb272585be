//! Deleting jobs.

use super::cases;
use super::world::{Held, World, id, job};
use crate::error::Refusal;
use crate::id::JobId;
use crate::job::JobState;
use crate::store::change::Change;
use crate::store::exchange::Settle;

cases! {
    from_every_state,
    with_all_that_belongs_to_it,
    not_one_that_is_held,
    one_that_is_active_without_a_lock,
    only_one_that_is_there,
    by_its_holder,
    it_is_told,
    a_child_that_goes_frees_its_parent,
    one_of_several_children_does_not,
    children_go_with_their_parent_where_asked,
    or_stay,
    not_a_parent_whose_child_is_held,
    a_freed_parent_goes_before_the_others,
    children_that_have_ended_go_as_well,
    a_child_that_was_forgotten_stays,
    those_that_have_ended_go_first,
    or_stay_though_one_is_held,
    a_lock_of_a_child_that_has_ended_holds_nothing,
    two_that_are_each_others_children_go_together,
    a_holder_is_told_first_that_its_lock_is_gone,
}

fn remove() -> Change {
    Change::Remove { children: true }
}

fn from_every_state(w: &World) {
    let all = w.add_all([job(), job(), job(), job(), job().delay(9), job().priority(1)]);
    let held = w.take(2);
    w.exchange(vec![held[0].complete(), held[1].fail()], 0);
    assert_eq!(w.shown(), "waiting 3 4, delayed 5, prioritized 6, completed 1, failed 2");
    for id in &all {
        w.change(id, remove()).unwrap();
        assert_eq!(w.state(id), None);
        w.shown();
    }
    assert_eq!(w.shown(), "");
}

fn with_all_that_belongs_to_it(w: &World) {
    let id = w.add(job().id("x"));
    w.change(&id, Change::Log { rows: vec!["row".into()], keep: None }).unwrap();
    w.change(&id, remove()).unwrap();
    let logs = w.runtime.block_on(w.queue.logs(&id, 0, 9)).unwrap();
    assert_eq!((logs.rows.len(), logs.total), (0, 0));
    w.add(job().id("x"));
    assert_eq!(w.runtime.block_on(w.queue.logs(&id, 0, 9)).unwrap().total, 0);
}

fn not_one_that_is_held(w: &World) {
    w.add(job());
    let held = w.one();
    assert_eq!(w.change(&held.id, remove()), Err(Refusal::LockTaken));
    assert_eq!(w.shown(), "active 1");
    w.accept(held.complete());
}

fn one_that_is_active_without_a_lock(w: &World) {
    w.add(job());
    let held = w.one();
    w.hands.lapse("1");
    w.change(&held.id, remove()).unwrap();
    assert_eq!(w.shown(), "");
}

fn only_one_that_is_there(w: &World) {
    for missing in ["nobody", "7"] {
        assert_eq!(w.change(&id(missing), remove()), Err(Refusal::MissingJob));
    }
}

fn by_its_holder(w: &World) {
    w.add(job());
    let held = w.one();
    assert_eq!(w.change_by(Some("nobody:1"), &held.id, remove()), Err(Refusal::LockTaken));
    assert_eq!(
        w.change_by(Some(&held.token), &held.id, remove()),
        Err(Refusal::LockTaken),
        "its own lock holds it too"
    );
    assert_eq!(w.shown(), "active 1");
}

fn it_is_told(w: &World) {
    let all = w.add_all([job(), job().delay(9)]);
    w.told();
    for id in &all {
        w.change(id, remove()).unwrap();
    }
    assert_eq!(w.told(), ["removed jobId=1 prev=waiting", "removed jobId=2 prev=delayed"]);
}

/// `1` is a parent that waits for the delayed jobs `2` and `3`.
fn family(w: &World) {
    w.add_all([job(), job().delay(900), job().delay(900)]);
    w.hands.adopt("1", "2", "");
    w.hands.adopt("1", "3", "");
    w.accept(w.one().wait_for_children());
}

fn a_child_that_goes_frees_its_parent(w: &World) {
    family(w);
    w.change(&id("2"), remove()).unwrap();
    w.told();
    w.change(&id("3"), remove()).unwrap();
    assert_eq!(w.shown(), "waiting 1");
    assert!(w.told().contains(&"waiting jobId=1 prev=waiting-children".to_owned()));
}

fn one_of_several_children_does_not(w: &World) {
    family(w);
    w.change(&id("2"), remove()).unwrap();
    assert_eq!(w.shown(), "delayed 3, waiting-children 1");
}

fn children_go_with_their_parent_where_asked(w: &World) {
    family(w);
    w.change(&id("1"), remove()).unwrap();
    assert_eq!(w.shown(), "");
}

fn or_stay(w: &World) {
    family(w);
    w.change(&id("1"), Change::Remove { children: false }).unwrap();
    assert_eq!(w.shown(), "delayed 2 3");
    w.change(&id("2"), remove()).unwrap();
    assert_eq!(w.state(&id("3")), Some(JobState::Delayed));
}

fn not_a_parent_whose_child_is_held(w: &World) {
    family(w);
    w.pass(900);
    let held = w.one();
    assert_eq!(held.id.as_str(), "2");
    assert_eq!(w.change(&id("1"), remove()), Err(Refusal::LockTaken));
    assert_eq!(w.shown(), "waiting 3, active 2, waiting-children 1");
}

fn a_freed_parent_goes_before_the_others(w: &World) {
    family(w);
    w.add(job());
    w.change(&id("2"), remove()).unwrap();
    w.change(&id("3"), remove()).unwrap();
    assert_eq!(w.shown(), "waiting 1 4");
}

/// A parent and its one child, which ends so.
fn ended(w: &World, flag: &str, end: fn(&Held) -> Settle) -> [JobId; 2] {
    let ids = w.add_all([job(), job()]);
    w.hands.adopt(ids[0].as_str(), ids[1].as_str(), flag);
    let held = w.take(2);
    w.accept(held[0].wait_for_children());
    w.accept(end(&held[1]));
    [ids[0].clone(), ids[1].clone()]
}

fn children_that_have_ended_go_as_well(w: &World) {
    for (flag, end) in
        [("", Held::complete as fn(&Held) -> Settle), ("idof", Held::fail), ("cpof", Held::fail), ("fpof", Held::fail)]
    {
        let [parent, _] = ended(w, flag, end);
        w.change(&parent, remove()).unwrap();
        assert_eq!(w.shown(), "", "{flag}");
    }
}

fn a_child_that_was_forgotten_stays(w: &World) {
    let [parent, _] = ended(w, "rdof", Held::fail);
    w.change(&parent, remove()).unwrap();
    assert_eq!(w.shown(), "failed 2");
}

fn those_that_have_ended_go_first(w: &World) {
    w.add_all([job(), job().delay(900), job()]);
    w.hands.adopt("1", "2", "");
    w.hands.adopt("1", "3", "");
    let held = w.take(2);
    w.accept(held[0].wait_for_children());
    w.accept(held[1].complete());
    w.told();
    w.change(&id("1"), remove()).unwrap();
    let removed: Vec<_> = w.told().into_iter().filter(|line| line.starts_with("removed")).collect();
    assert_eq!(removed[..2], ["removed jobId=3 prev=completed", "removed jobId=2 prev=delayed"]);
    assert!(removed[2].starts_with("removed jobId=1 "), "{removed:?}");
}

fn or_stay_though_one_is_held(w: &World) {
    family(w);
    w.pass(900);
    w.one();
    w.change(&id("1"), Change::Remove { children: false }).unwrap();
    assert_eq!(w.shown(), "waiting 3, active 2");
}

fn a_lock_of_a_child_that_has_ended_holds_nothing(w: &World) {
    let [parent, child] = ended(w, "", Held::complete);
    w.hands.give_lock(child.as_str(), "somebody:1");
    w.change(&parent, remove()).unwrap();
    assert_eq!(w.shown(), "");
}

fn two_that_are_each_others_children_go_together(w: &World) {
    let all = w.add_all([job(), job()]);
    w.hands.adopt("1", "2", "idof");
    w.hands.adopt("2", "1", "idof");
    for held in w.take(2) {
        w.accept(held.fail());
    }
    w.change(&all[0], remove()).unwrap();
    assert_eq!(w.shown(), "");
}

fn a_holder_is_told_first_that_its_lock_is_gone(w: &World) {
    w.add(job());
    assert_eq!(w.change_by(Some("lane:1"), &id("1"), remove()), Err(Refusal::MissingLock));
    w.change(&id("1"), remove()).unwrap();
    assert_eq!(w.change_by(Some("lane:1"), &id("1"), remove()), Err(Refusal::MissingLock));
}
