//! What the end of a child means to its parent, by what the child says of its failure.

use super::cases;
use super::world::{Held, World, job};
use crate::error::Refusal;
use crate::job::{JobState, Keep};
use crate::store::change::Change;
use crate::store::exchange::Verdict;

cases! {
    the_last_child_frees_its_parent,
    a_freed_parent_goes_before_the_others,
    a_freed_parent_with_a_priority_goes_by_it,
    a_failure_that_fails_the_parent,
    a_failure_that_lets_the_parent_go_on,
    a_failure_that_is_passed_over,
    a_failure_that_is_forgotten,
    a_failure_that_means_nothing,
    a_child_that_is_not_kept_still_tells,
    a_child_that_is_retried_is_waited_for,
    a_parent_that_is_gone_is_let_be,
    a_freed_parent_with_a_delay_waits_for_its_time,
    a_failure_has_a_delayed_parent_run_at_once,
    a_failure_fails_a_parent_that_runs,
    a_failure_means_nothing_to_a_parent_that_has_failed,
    a_child_that_was_forgotten_is_not_waited_for_again,
    a_failed_child_that_is_tried_anew_counts_once,
    a_child_that_failed_its_parent_may_make_good,
    a_child_that_fails_and_is_not_kept_is_waited_for_no_longer,
    an_ended_child_that_is_removed_changes_nothing,
}

/// A parent in `waiting-children`, and its children, which are held. `1` is the parent.
fn family(w: &World, children: usize, flag: &str) -> Vec<Held> {
    w.add(job().named("parent"));
    lay(w, children, flag)
}

fn lay(w: &World, children: usize, flag: &str) -> Vec<Held> {
    for _ in 0..children {
        let child = w.add(job().named("child"));
        w.hands.adopt("1", child.as_str(), flag);
    }
    let (mut parent, mut held) = (None, Vec::new());
    for taken in w.take(1 + children) {
        if taken.id.as_str() == "1" { parent = Some(taken) } else { held.push(taken) }
    }
    w.accept(parent.unwrap().wait_for_children());
    held.sort_by(|a, b| a.id.cmp(&b.id));
    w.told();
    held
}

fn the_last_child_frees_its_parent(w: &World) {
    let children = family(w, 2, "");
    w.accept(children[0].complete());
    assert_eq!(w.shown(), "active 3, completed 2, waiting-children 1");
    w.accept(children[1].complete());
    assert_eq!(w.shown(), "waiting 1, completed 2 3");
    assert!(w.told().contains(&"waiting jobId=1 prev=waiting-children".to_owned()));
    w.accept(w.one().complete());
}

fn a_freed_parent_goes_before_the_others(w: &World) {
    let children = family(w, 1, "");
    w.add_all([job(), job()]);
    w.accept(children[0].complete());
    assert_eq!(w.shown(), "waiting 1 3 4, completed 2");
}

fn a_freed_parent_with_a_priority_goes_by_it(w: &World) {
    w.add(job().named("parent").priority(3));
    let children = lay(w, 1, "");
    w.add_all([job().priority(3), job().priority(4)]);
    w.accept(children[0].complete());
    assert_eq!(w.shown(), "prioritized 3 1 4, completed 2");
}

fn a_failure_that_fails_the_parent(w: &World) {
    let children = family(w, 2, "fpof");
    w.accept(children[0].fail());
    assert_eq!(w.shown(), "waiting 1, active 3, failed 2");
    let parent = w.one();
    let reason = parent.record.deferred_failure.clone().unwrap();
    assert!(reason.starts_with("child ") && reason.ends_with(":q:2 failed"), "{reason}");
    w.accept(parent.fail());
    assert_eq!(w.state(&parent.id), Some(JobState::Failed));
}

fn a_failure_that_lets_the_parent_go_on(w: &World) {
    let children = family(w, 2, "cpof");
    w.accept(children[0].fail());
    assert_eq!(w.shown(), "waiting 1, active 3, failed 2");
    assert_eq!(w.one().record.deferred_failure, None);
}

fn a_failure_that_is_passed_over(w: &World) {
    let children = family(w, 2, "idof");
    w.accept(children[0].fail());
    assert_eq!(w.shown(), "active 3, failed 2, waiting-children 1");
    w.accept(children[1].fail());
    assert_eq!(w.shown(), "waiting 1, failed 2 3");
}

fn a_failure_that_is_forgotten(w: &World) {
    let children = family(w, 1, "rdof");
    w.accept(children[0].fail());
    assert_eq!(w.shown(), "waiting 1, failed 2");
}

fn a_failure_that_means_nothing(w: &World) {
    let children = family(w, 1, "");
    w.accept(children[0].fail());
    assert_eq!(w.shown(), "failed 2, waiting-children 1");
}

fn a_child_that_is_not_kept_still_tells(w: &World) {
    let children = family(w, 1, "");
    w.accept(children[0].complete_with("1", Keep::NONE));
    assert_eq!(w.shown(), "waiting 1");
}

fn a_child_that_is_retried_is_waited_for(w: &World) {
    let children = family(w, 1, "");
    w.accept(children[0].retry());
    w.accept(w.one().backoff(5));
    w.pass(5);
    assert_eq!(w.shown(), "delayed 2, waiting-children 1");
    w.accept(w.one().complete());
    assert_eq!(w.shown(), "waiting 1, completed 2");
}

fn a_parent_that_is_gone_is_let_be(w: &World) {
    w.add_all([job(), job()]);
    w.hands.adopt("1", "2", "");
    let held = w.take(2);
    w.accept(held[0].fail_with("boom", Keep::NONE, 0));
    w.accept(held[1].complete());
    assert_eq!(w.shown(), "completed 2");
}

fn again() -> Change {
    Change::Reprocess { from: None, reset_made: false, reset_started: false }
}

fn a_freed_parent_with_a_delay_waits_for_its_time(w: &World) {
    let children = family(w, 1, "");
    w.hands.put_off("1", 500);
    w.accept(children[0].complete());
    assert_eq!(w.shown(), "delayed 1, completed 2");
    let due = w.now().as_millis() + 500;
    assert!(w.told().contains(&format!("delayed jobId=1 delay={due}")));
    w.pass(500);
    assert_eq!(w.one().id.as_str(), "1");
}

fn a_failure_has_a_delayed_parent_run_at_once(w: &World) {
    w.add_all([job().delay(500), job()]);
    w.hands.adopt("1", "2", "fpof");
    w.accept(w.one().fail());
    assert_eq!(w.shown(), "waiting 1, failed 2");
    let parent = w.one();
    assert_eq!((parent.record.delay.as_millis(), parent.record.deferred_failure.is_some()), (0, true));
}

fn a_failure_fails_a_parent_that_runs(w: &World) {
    let all = w.add_all([job(), job()]);
    w.hands.adopt("1", "2", "fpof");
    let held = w.take(2);
    w.accept(held[1].fail());
    assert_eq!(w.shown(), "active 1, failed 2");
    assert!(w.record(&all[0]).deferred_failure.is_some());
    assert_eq!(w.settle(held[0].complete()), Verdict::Refused(Refusal::FailedChildren));
}

fn a_failure_means_nothing_to_a_parent_that_has_failed(w: &World) {
    let all = w.add_all([job(), job()]);
    w.hands.adopt("1", "2", "fpof");
    let held = w.take(2);
    w.accept(held[0].fail());
    w.accept(held[1].fail());
    assert_eq!(w.shown(), "failed 1 2");
    assert_eq!(w.record(&all[0]).deferred_failure, None);
}

fn a_child_that_was_forgotten_is_not_waited_for_again(w: &World) {
    let children = family(w, 2, "rdof");
    w.accept(children[0].fail());
    w.change(&children[0].id, again()).unwrap();
    w.accept(w.one().complete());
    assert_eq!(w.shown(), "active 3, completed 2, waiting-children 1", "there is the other one still");
    w.change(&children[0].id, again()).unwrap();
    w.accept(children[1].complete());
    assert_eq!(w.shown(), "waiting 1 2, completed 3", "the first one is not waited for");
}

fn a_failed_child_that_is_tried_anew_counts_once(w: &World) {
    let children = family(w, 1, "");
    w.accept(children[0].fail());
    w.change(&children[0].id, again()).unwrap();
    assert_eq!(w.shown(), "waiting 2, waiting-children 1");
    w.accept(w.one().complete());
    assert_eq!(w.shown(), "waiting 1, completed 2");
}

fn a_child_that_failed_its_parent_may_make_good(w: &World) {
    w.add_all([job(), job()]);
    w.hands.adopt("1", "2", "fpof");
    let held = w.take(2);
    w.accept(held[1].fail());
    w.change(&held[1].id, again()).unwrap();
    assert_eq!(w.settle(held[0].complete()), Verdict::Refused(Refusal::PendingChildren));
    w.accept(w.one().complete());
    w.pass(1);
    w.accept(held[0].complete());
    assert_eq!(w.shown(), "completed 2 1");
}

fn a_child_that_fails_and_is_not_kept_is_waited_for_no_longer(w: &World) {
    let children = family(w, 2, "");
    w.accept(children[0].fail_with("boom", Keep::NONE, 0));
    assert_eq!(w.shown(), "active 3, waiting-children 1");
    w.accept(children[1].fail_with("boom", Keep::NONE, 0));
    assert_eq!(w.shown(), "waiting 1");
}

fn an_ended_child_that_is_removed_changes_nothing(w: &World) {
    let children = family(w, 2, "");
    w.accept(children[0].complete());
    w.change(&children[0].id, Change::Remove { children: false }).unwrap();
    assert_eq!(w.shown(), "active 3, waiting-children 1");
    w.accept(children[1].complete());
    assert_eq!(w.shown(), "waiting 1, completed 3");
}
