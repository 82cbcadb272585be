//! Ends: completed and failed, what is recorded and told.

use super::cases;
use super::world::{World, held, id, ids, job};
use crate::job::{JobState, Keep};
use crate::store::exchange::Verdict;

cases! {
    a_completed_job_has_its_result,
    a_failed_job_has_its_reason,
    a_later_failure_replaces_the_earlier_one,
    many_end_in_one_call,
    results_of_every_kind,
    an_end_and_a_take_in_one_call,
    a_job_that_is_not_kept_is_gone_and_its_end_is_told,
    the_last_of_its_attempts_is_told,
    a_job_with_pending_children_may_fail,
    drained_is_told_when_nothing_is_left,
    drained_is_not_told_while_something_is,
    the_newest_end_is_listed_last,
    one_with_an_id_of_its_own_ends_alike,
    what_is_handed_in_last_decides_whether_the_queue_is_drained,
    drained_is_not_told_to_one_who_waits_for_what_is_due,
    parents_are_freed_in_the_order_of_the_ends,
}

fn a_completed_job_has_its_result(w: &World) {
    let id = w.add(job());
    let held = w.one();
    w.pass(7);
    w.told();
    w.accept(held.complete_with(r#"{"r":[1]}"#, Keep::ALL));
    assert_eq!(w.shown(), "completed 1");
    let record = w.record(&id);
    assert_eq!(record.return_value.unwrap().get(), r#"{"r":[1]}"#);
    assert_eq!((record.finished_on, record.attempts_made), (Some(w.now()), 1));
    assert_eq!(w.told(), [r#"completed jobId=1 returnvalue={"r":[1]} prev=active"#, "drained"]);
    assert!(w.runtime.block_on(w.queue.held(1)).unwrap().is_empty());
}

fn a_failed_job_has_its_reason(w: &World) {
    let id = w.add(job().attempts(3));
    let held = w.one();
    w.pass(7);
    w.told();
    w.accept(held.fail_with("no such user", Keep::ALL, 3));
    assert_eq!(w.shown(), "failed 1");
    let record = w.record(&id);
    assert_eq!(
        (record.failed_reason.as_deref(), &*record.stacktrace),
        (Some("no such user"), &["at no such user".into()][..])
    );
    assert_eq!((record.finished_on, record.attempts_made, record.return_value.is_none()), (Some(w.now()), 1, true));
    assert_eq!(w.told(), ["failed jobId=1 failedReason=no such user prev=active", "drained"]);
}

fn a_later_failure_replaces_the_earlier_one(w: &World) {
    let id = w.add(job().attempts(2));
    w.accept(w.one().retry());
    w.accept(w.one().fail_with("worse", Keep::ALL, 2));
    let record = w.record(&id);
    assert_eq!((record.failed_reason.as_deref(), record.attempts_made, record.attempts_started), (Some("worse"), 2, 2));
}

fn many_end_in_one_call(w: &World) {
    w.add_all((0..6).map(|_| job()));
    let held = w.take(6);
    let outcomes = vec![
        held[0].complete(),
        held[1].fail(),
        held[2].by("nobody:1").complete(),
        held[3].complete_with("2", Keep::NONE),
        held[4].complete(),
    ];
    let verdicts = w.exchange(outcomes, 0).verdicts;
    let lost = Verdict::Refused(crate::error::Refusal::LockTaken);
    let accepted = Verdict::Accepted;
    assert_eq!(verdicts, [accepted.clone(), accepted.clone(), lost, accepted.clone(), accepted]);
    assert_eq!(w.state(&held[4].id), Some(JobState::Completed));
    let counts = w.overview().counts;
    assert_eq!((counts.completed, counts.failed, counts.active), (2, 1, 2));
    assert_eq!(w.state(&held[3].id), None);
}

fn results_of_every_kind(w: &World) {
    for value in ["null", "true", "0", "-1.5e-7", r#""""#, r#""ä \u0000 \"q\"""#, "[]", r#"{"deep":[{"a":[]}]}"#] {
        let id = w.add(job());
        w.accept(w.one().complete_with(value, Keep::ALL));
        assert_eq!(w.record(&id).return_value.unwrap().get(), value);
    }
}

fn an_end_and_a_take_in_one_call(w: &World) {
    w.add_all([job(), job()]);
    let first = w.one();
    let answer = w.exchange(vec![first.complete()], 1);
    assert_eq!((answer.verdicts.as_slice(), ids(&held(&answer)).as_str()), (&[Verdict::Accepted][..], "2"));
    assert_eq!(w.shown(), "active 2, completed 1");
}

fn a_job_that_is_not_kept_is_gone_and_its_end_is_told(w: &World) {
    let all = w.add_all([job(), job()]);
    let held = w.take(2);
    w.told();
    w.accept(held[0].complete_with("7", Keep::NONE));
    w.accept(held[1].fail_with("boom", Keep::NONE, 1));
    assert_eq!(w.shown(), "");
    assert_eq!(all.iter().map(|id| w.state(id)).collect::<Vec<_>>(), [None, None]);
    let told = w.told();
    assert_eq!(told[0], "completed jobId=1 returnvalue=7 prev=active");
    assert_eq!(told[1], "failed jobId=2 failedReason=boom prev=active");
}

fn the_last_of_its_attempts_is_told(w: &World) {
    w.add_all([job().attempts(2), job()]);
    w.accept(w.one().retry_first());
    let held = w.one();
    w.told();
    w.accept(held.fail_with("boom", Keep::ALL, 2));
    assert_eq!(w.told(), ["failed jobId=1 failedReason=boom prev=active", "retries-exhausted jobId=1 attemptsMade=2"]);
}

fn a_job_with_pending_children_may_fail(w: &World) {
    let all = w.add_all([job(), job().delay(500)]);
    w.hands.adopt("1", "2", "");
    w.accept(w.one().fail());
    assert_eq!(all.iter().map(|id| w.state(id)).collect::<Vec<_>>(), [Some(JobState::Failed), Some(JobState::Delayed)]);
}

fn drained_is_told_when_nothing_is_left(w: &World) {
    w.add_all([job(), job(), job().delay(500)]);
    let held = w.take(2);
    w.told();
    w.exchange(vec![held[0].complete(), held[1].complete()], 0);
    assert_eq!(w.told().iter().filter(|line| *line == "drained").count(), 1);
}

fn drained_is_not_told_while_something_is(w: &World) {
    w.add_all([job(), job(), job().priority(1)]);
    let mut held = w.take(2);
    w.told();
    w.accept(held.remove(0).complete());
    w.accept(held.remove(0).complete());
    assert!(!w.told().contains(&"drained".to_owned()), "one is prioritized still");
    w.accept(w.one().put_back());
    assert!(!w.told().contains(&"drained".to_owned()), "what was put back is no end");
}

fn the_newest_end_is_listed_last(w: &World) {
    w.add_all((0..3).map(|_| job()));
    for held in w.take(3).iter().rev() {
        w.pass(5);
        w.accept(held.complete());
    }
    assert_eq!(w.shown(), "completed 3 2 1");
}

fn one_with_an_id_of_its_own_ends_alike(w: &World) {
    for (custom, plain) in [("a", "2"), ("b", "4")] {
        w.add_all([job().id(custom), job()]);
        for held in w.take(2) {
            w.accept(if custom == "a" { held.complete() } else { held.fail() });
        }
        let record = |of: &str| {
            let record = w.record(&id(of));
            let value = record.return_value.map(|value| value.get().to_owned());
            (record.attempts_made, record.attempts_started, record.finished_on, value, record.failed_reason)
        };
        assert_eq!(record(custom), record(plain));
        assert_eq!(record(custom).0, 1);
    }
}

fn what_is_handed_in_last_decides_whether_the_queue_is_drained(w: &World) {
    w.add_all([job(), job()]);
    let held = w.take(2);
    w.exchange(vec![held[0].complete(), held[1].delay(500)], 0);
    assert!(!w.told().contains(&"drained".to_owned()));
    w.pass(500);
    w.add(job());
    let held = w.take(2);
    w.exchange(vec![held[0].delay(500), held[1].complete()], 0);
    assert!(w.told().contains(&"drained".to_owned()));
}

fn drained_is_not_told_to_one_who_waits_for_what_is_due(w: &World) {
    w.add_all([job(), job().delay(500)]);
    let held = w.one();
    assert!(w.exchange(vec![held.complete()], 1).jobs.is_empty());
    assert!(!w.told().contains(&"drained".to_owned()));
}

/// In one call as in several: each goes to the front, also the one that a rule sets free by removing a child.
fn parents_are_freed_in_the_order_of_the_ends(w: &World) {
    w.add_all((0..7).map(|_| job()));
    w.hands.adopt("1", "3", "");
    w.hands.adopt("2", "4", "");
    let held = w.take(7);
    w.accept(held[0].wait_for_children());
    w.accept(held[1].wait_for_children());
    w.accept(held[2].fail());
    w.pass(1);
    let fail = held[4].fail_with("boom", Keep::last(1), 1);
    w.exchange(vec![fail, held[3].complete(), held[5].complete(), held[6].complete()], 0);
    assert_eq!(w.shown(), "waiting 2 1, completed 4 6 7, failed 5");
}
