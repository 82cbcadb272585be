//! What the end of a child means to its parent, by what the child says of its failure.

use super::cases;
use super::world::{Held, World, job};
use crate::job::{JobState, Keep};

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
