//! Active jobs that are put off: for a backoff, or because the handler asked for it.

use super::cases;
use super::world::{World, ids, job};

cases! {
    a_backoff_uses_an_attempt,
    a_delay_asked_for_uses_none,
    due_at_once,
    in_the_order_in_which_they_are_due,
    those_due_in_one_ms_run_in_the_order_in_which_they_were_put_off,
    many_in_one_call,
    a_prioritized_job_keeps_its_priority,
}

fn a_backoff_uses_an_attempt(w: &World) {
    let id = w.add(job());
    let held = w.one();
    w.told();
    w.pass(3);
    w.accept(held.backoff(100));
    assert_eq!(w.shown(), "delayed 1");
    let record = w.record(&id);
    assert_eq!((record.attempts_made, record.delay.as_millis()), (1, 100));
    assert_eq!((record.failed_reason.as_deref(), &*record.stacktrace), (Some("boom"), &["at boom".to_owned()][..]));
    assert_eq!(w.told(), [format!("delayed jobId=1 delay={}", w.now().as_millis() + 100)]);
}

fn a_delay_asked_for_uses_none(w: &World) {
    let id = w.add(job());
    w.accept(w.one().delay(100));
    let record = w.record(&id);
    assert_eq!((record.attempts_made, record.attempts_started, record.failed_reason), (0, 1, None));
    assert_eq!(record.delay.as_millis(), 100);
}

fn due_at_once(w: &World) {
    w.add(job());
    w.accept(w.one().delay(0));
    assert_eq!(w.shown(), "delayed 1");
    assert_eq!(ids(&w.take(1)), "1");
}

fn in_the_order_in_which_they_are_due(w: &World) {
    w.add_all([job(), job(), job().delay(15)]);
    let held = w.take(2);
    w.exchange(vec![held[0].delay(20), held[1].backoff(10)], 0);
    assert_eq!(w.shown(), "delayed 2 3 1");
}

fn those_due_in_one_ms_run_in_the_order_in_which_they_were_put_off(w: &World) {
    w.add_all([job(), job(), job()]);
    let held = w.take(3);
    for n in [2, 0, 1] {
        w.accept(held[n].delay(10));
    }
    w.pass(10);
    assert_eq!(ids(&w.take(3)), "3 1 2");
}

fn many_in_one_call(w: &World) {
    w.add_all((0..9).map(|_| job()));
    let outcomes = w.take(9).iter().map(|held| held.delay(10)).collect();
    w.exchange(outcomes, 0);
    w.pass(10);
    assert_eq!(ids(&w.take(9)), "1 2 3 4 5 6 7 8 9");
}

fn a_prioritized_job_keeps_its_priority(w: &World) {
    w.add(job().priority(4));
    w.accept(w.one().backoff(10));
    w.pass(10);
    w.configure(crate::store::change::Setting::Pause);
    w.hint();
    assert_eq!(w.shown(), "prioritized 1");
}
