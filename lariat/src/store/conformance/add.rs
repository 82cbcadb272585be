//! Adding: where a job lands, what is kept of it, what is said of it.

use std::sync::Arc;

use super::cases;
use super::world::{World, job};
use crate::error::ErrorKind;
use crate::job::{Backoff, JobState, Keep};
use crate::store::change::{Add, Setting};

cases! {
    ids_count_up_and_jobs_wait_in_their_order,
    what_was_given_is_kept,
    lifo_goes_to_the_front,
    a_delayed_job_waits_for_its_time,
    delayed_jobs_are_in_the_order_in_which_they_are_due,
    priorities_go_by_number_then_by_arrival,
    lifo_does_not_count_among_prioritized_jobs,
    an_id_of_ones_own_is_added_once,
    an_id_in_any_state_is_a_duplicate,
    a_removed_id_may_be_added_again,
    an_add_under_a_known_id_still_counts,
    a_repeat_adds_nothing_and_answers_the_same,
    an_older_call_of_the_lane_adds_nothing,
    lanes_are_apart,
    a_paused_queue_takes_jobs_in,
}

fn ids_count_up_and_jobs_wait_in_their_order(w: &World) {
    let ids: Vec<_> = w.add_all([job(), job(), job()]).iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["1", "2", "3"]);
    assert_eq!(w.add(job()).as_str(), "4");
    assert_eq!(w.shown(), "waiting 1 2 3 4");
    assert_eq!(w.told()[..2], ["added jobId=1 name=n", "waiting jobId=1"]);
}

fn what_was_given_is_kept(w: &World) {
    let mut add = w.to_add(job().named("grüße \u{1F600}").data(r#"{"a":[1,2.50,"ä\u0000"],"b":null}"#).attempts(3));
    let options = Arc::make_mut(&mut add.options);
    options.backoff = Some(Backoff::exponential(std::time::Duration::from_secs(2)).jitter(0.25));
    options.remove_on_complete = Some(Keep::last(7));
    options.keep_logs = Some(3);
    let id = w.try_add(&Add { call: w.call("adds"), jobs: vec![add.clone()].into() }).unwrap().remove(0).unwrap();
    let record = w.record(&id);
    assert_eq!((&record.name, record.data.get()), (&add.name, add.data.get()));
    assert_eq!((&record.options, record.timestamp), (&*add.options, w.now()));
    assert_eq!((record.attempts_made, record.attempts_started, record.stalled_counter), (0, 0, 0));
    assert_eq!((record.processed_on, record.finished_on, record.failed_reason), (None, None, None));
    assert!(record.return_value.is_none() && record.progress.is_none() && record.stacktrace.is_empty());
}

fn lifo_goes_to_the_front(w: &World) {
    w.add_all([job(), job(), job().lifo(), job().lifo()]);
    assert_eq!(w.shown(), "waiting 4 3 1 2");
}

fn a_delayed_job_waits_for_its_time(w: &World) {
    let id = w.add(job().delay(500).priority(3));
    assert_eq!(w.shown(), "delayed 1");
    let record = w.record(&id);
    assert_eq!((record.delay.as_millis(), record.priority), (500, 3));
    let due = w.now().as_millis() + 500;
    assert_eq!(w.told(), ["added jobId=1 name=n", &format!("delayed jobId=1 delay={due}")]);
}

fn delayed_jobs_are_in_the_order_in_which_they_are_due(w: &World) {
    w.add_all([job().delay(30), job().delay(10), job().delay(20), job().delay(10)]);
    assert_eq!(w.shown(), "delayed 2 4 3 1");
}

fn priorities_go_by_number_then_by_arrival(w: &World) {
    w.add_all([5, 1, 5, 2_097_151, 1].map(|priority| job().priority(priority)));
    assert_eq!(w.shown(), "prioritized 2 5 1 3 4");
}

fn lifo_does_not_count_among_prioritized_jobs(w: &World) {
    w.add_all([job().priority(2), job().priority(2).lifo()]);
    assert_eq!(w.shown(), "prioritized 1 2");
}

fn an_id_of_ones_own_is_added_once(w: &World) {
    let first = w.add(job().id("invoice-7").data("1"));
    let second = w.add(job().id("invoice-7").data("2").named("other"));
    assert_eq!((first.as_str(), &first), ("invoice-7", &second));
    assert_eq!(w.record(&first).data.get(), "1");
    assert_eq!(w.shown(), "waiting invoice-7");
    assert_eq!(w.told().last().unwrap(), "duplicated jobId=invoice-7");
}

fn an_id_in_any_state_is_a_duplicate(w: &World) {
    w.add_all([job().id("runs"), job().id("done"), job().id("late").delay(50), job().id("first").priority(1)]);
    let held = w.take(2);
    w.accept(held[1].complete());
    let before = w.shown();
    w.add_all(["runs", "done", "late", "first"].map(|id| job().id(id)));
    assert_eq!(w.shown(), before);
    assert_eq!(w.state(&held[1].id), Some(JobState::Completed));
}

fn a_removed_id_may_be_added_again(w: &World) {
    w.add(job().id("once").data("1"));
    let held = w.one();
    w.accept(held.complete_with("1", Keep::NONE));
    assert_eq!(w.shown(), "");
    let id = w.add(job().id("once").data("2"));
    let record = w.record(&id);
    assert_eq!((record.data.get(), record.attempts_started), ("2", 0));
}

fn an_add_under_a_known_id_still_counts(w: &World) {
    w.add_all([job().id("a"), job().id("a"), job()]);
    assert_eq!(w.shown(), "waiting a 3");
}

fn a_repeat_adds_nothing_and_answers_the_same(w: &World) {
    let add = Add {
        call: w.call("adds"),
        jobs: vec![w.to_add(job()), w.to_add(job().id("x")), w.to_add(job().delay(9))].into(),
    };
    let first = w.try_add(&add).unwrap();
    w.told();
    assert_eq!(w.try_add(&add).unwrap(), first);
    assert_eq!(w.shown(), "waiting 1 x, delayed 3");
    assert!(w.told().is_empty());
}

fn an_older_call_of_the_lane_adds_nothing(w: &World) {
    let old = Add { call: w.call("adds"), jobs: vec![w.to_add(job())].into() };
    w.try_add(&old).unwrap();
    w.add(job());
    let error = w.try_add(&old).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown, "{error}");
    assert_eq!(w.shown(), "waiting 1 2");
}

fn lanes_are_apart(w: &World) {
    let mut add = Add { call: w.call("one"), jobs: vec![w.to_add(job())].into() };
    w.try_add(&add).unwrap();
    add.call.base = "two".into();
    w.try_add(&add).unwrap();
    assert_eq!(w.shown(), "waiting 1 2");
}

fn a_paused_queue_takes_jobs_in(w: &World) {
    w.configure(Setting::Pause);
    w.add_all([job(), job().priority(1), job().delay(5)]);
    assert_eq!(w.shown(), "waiting 1, delayed 3, prioritized 2");
}
