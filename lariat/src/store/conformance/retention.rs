//! Which ended jobs are kept.

use std::time::Duration;

use super::cases;
use super::world::{World, id, job};
use crate::job::Keep;
use crate::store::change::Change;
use crate::store::exchange::Verdict;

cases! {
    the_newest_by_count,
    those_that_are_young_enough,
    by_age_and_count,
    no_more_removed_at_a_time_than_asked,
    none_of_them,
    completed_and_failed_apart,
    rules_differ_from_job_to_job,
    a_rule_that_comes_late,
    a_rule_is_for_what_has_ended_by_then,
    what_a_rule_sets_free_goes_before_what_comes_later,
    a_removed_child_is_waited_for_no_longer,
    as_many_at_a_time_as_there_are_ends,
    a_strict_rule_meets_those_before_a_lenient_one,
    ages_count_in_whole_seconds,
    a_removed_id_has_no_past,
}

/// Jobs end one after the other, so many ms apart, under this rule.
fn run(w: &World, jobs: usize, apart: i64, keep: Keep) {
    for _ in 0..jobs {
        w.add(job());
        w.pass(apart);
        w.accept(w.one().complete_with("1", keep));
    }
}

fn the_newest_by_count(w: &World) {
    run(w, 5, 1, Keep::last(2));
    assert_eq!(w.shown(), "completed 4 5");
    run(w, 1, 1, Keep::last(1));
    assert_eq!(w.shown(), "completed 6");
}

fn those_that_are_young_enough(w: &World) {
    let keep = Keep::for_at_most(Duration::from_secs(10));
    run(w, 3, 4_000, keep);
    assert_eq!(w.shown(), "completed 1 2 3");
    run(w, 1, 3_000, keep);
    assert_eq!(w.shown(), "completed 2 3 4", "the first is 11 s old");
}

fn by_age_and_count(w: &World) {
    let keep = Keep { count: Some(3), age: Some(Duration::from_secs(10)), limit: None };
    run(w, 5, 1_000, keep);
    assert_eq!(w.shown(), "completed 3 4 5");
    run(w, 1, 9_000, keep);
    assert_eq!(w.shown(), "completed 5 6");
}

fn no_more_removed_at_a_time_than_asked(w: &World) {
    run(w, 6, 1, Keep::ALL);
    w.pass(60_000);
    run(w, 1, 1, Keep { count: None, age: Some(Duration::from_secs(10)), limit: Some(2) });
    assert_eq!(w.overview().counts.completed, 5);
}

fn none_of_them(w: &World) {
    run(w, 3, 1, Keep::NONE);
    assert_eq!(w.shown(), "");
}

fn completed_and_failed_apart(w: &World) {
    run(w, 2, 1, Keep::ALL);
    for _ in 0..3 {
        w.add(job());
        w.pass(1);
        w.accept(w.one().fail_with("boom", Keep::last(1), 1));
    }
    assert_eq!(w.shown(), "completed 1 2, failed 5");
}

fn rules_differ_from_job_to_job(w: &World) {
    run(w, 2, 1, Keep::ALL);
    run(w, 1, 1, Keep::NONE);
    assert_eq!(w.shown(), "completed 1 2", "one that is not kept says nothing of the others");
    run(w, 1, 1, Keep::last(2));
    assert_eq!(w.shown(), "completed 2 4");
}

fn a_rule_that_comes_late(w: &World) {
    run(w, 20, 1, Keep::ALL);
    run(w, 1, 1, Keep::last(3));
    assert_eq!(w.shown(), "completed 19 20 21");
}

fn a_rule_is_for_what_has_ended_by_then(w: &World) {
    w.add_all((0..5).map(|_| job()));
    let held = w.take(5);
    let keeps = [Keep::last(1), Keep::ALL, Keep::ALL, Keep::last(3), Keep::last(4)];
    w.exchange(held.iter().zip(keeps).map(|(held, keep)| held.complete_with("1", keep)).collect(), 0);
    assert_eq!(w.shown(), "completed 2 3 4 5", "the first rule met the first job alone");
}

/// In one call as in several.
fn what_a_rule_sets_free_goes_before_what_comes_later(w: &World) {
    w.add_all((0..4).map(|_| job()));
    w.hands.adopt("1", "2", "");
    let held = w.take(4);
    w.accept(held[0].wait_for_children());
    w.accept(held[1].fail());
    w.pass(1);
    w.exchange(vec![held[2].fail_with("boom", Keep::last(1), 1), held[3].put_back()], 0);
    assert_eq!(w.shown(), "waiting 4 1, failed 3");
}

fn a_removed_child_is_waited_for_no_longer(w: &World) {
    w.add_all([job(), job()]);
    w.hands.adopt("1", "2", "");
    let held = w.take(2);
    w.accept(held[0].wait_for_children());
    w.accept(held[1].fail());
    assert_eq!(w.shown(), "failed 2, waiting-children 1");
    w.add(job());
    w.pass(1);
    w.accept(w.one().fail_with("boom", Keep::last(1), 1));
    assert_eq!(w.shown(), "waiting 1, failed 3");
}

fn as_many_at_a_time_as_there_are_ends(w: &World) {
    run(w, 12, 1, Keep::ALL);
    w.pass(60_000);
    w.add_all((0..4).map(|_| job()));
    let keep = Keep { count: None, age: Some(Duration::from_secs(10)), limit: Some(2) };
    w.exchange(w.take(4).iter().map(|held| held.complete_with("1", keep)).collect(), 0);
    assert_eq!(w.overview().counts.completed, 12 + 4 - 2 * 4);
}

fn a_strict_rule_meets_those_before_a_lenient_one(w: &World) {
    w.add_all((0..5).map(|_| job()));
    let keeps = [1, 1, 9, 9, 9].map(Keep::last);
    w.exchange(w.take(5).iter().zip(keeps).map(|(held, keep)| held.complete_with("1", keep)).collect(), 0);
    assert_eq!(w.shown(), "completed 2 3 4 5");
}

fn ages_count_in_whole_seconds(w: &World) {
    let keep = Keep::for_at_most(Duration::from_millis(1_900));
    run(w, 2, 1_200, keep);
    assert_eq!(w.shown(), "completed 2", "the first is more than a second old");
}

fn a_removed_id_has_no_past(w: &World) {
    for keep in [Keep::NONE, Keep::last(1)] {
        w.add_all([job().id("parent"), job().id("ended"), job().id("pending")]);
        w.hands.adopt("parent", "ended", "");
        w.hands.adopt("parent", "pending", "");
        let held = w.take(3);
        w.accept(held[1].complete());
        w.accept(held[0].fail_with("boom", keep, 0));
        w.add(job());
        w.pass(1);
        w.accept(w.one().fail_with("boom", keep, 0));
        // Anew, without children.
        let parent = w.add(job().id("parent"));
        let held_anew = w.one();
        assert_eq!(w.settle(held_anew.wait_for_children()), Verdict::Resume);
        w.accept(held_anew.put_back());
        w.change(&parent, Change::Remove { children: true }).unwrap();
        assert!(w.shown().contains("active pending") && w.shown().contains("completed ended"), "{}", w.shown());
        w.accept(held[2].complete());
        for ended in ["ended", "pending"] {
            w.change(&id(ended), Change::Remove { children: true }).unwrap();
        }
    }
}
