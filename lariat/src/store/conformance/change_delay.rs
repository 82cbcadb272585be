//! Another delay for a delayed job.

use super::cases;
use super::world::{World, id, job, ms};
use crate::error::Refusal;
use crate::store::change::Change;
use crate::store::exchange::Hint;

cases! {
    it_counts_from_now,
    sooner_than_others_and_later,
    it_is_told_and_recorded,
    only_a_delayed_one,
    only_one_that_is_there,
}

fn it_counts_from_now(w: &World) {
    let id = w.add(job().delay(500));
    w.pass(100);
    w.change(&id, Change::Delay(ms(50))).unwrap();
    assert_eq!(w.hint(), Hint::DueAt(w.now().after(ms(50))));
}

fn sooner_than_others_and_later(w: &World) {
    let all = w.add_all([10, 20, 30].map(|delay| job().delay(delay)));
    w.change(&all[2], Change::Delay(ms(1))).unwrap();
    assert_eq!(w.shown(), "delayed 3 1 2");
    w.change(&all[2], Change::Delay(ms(15))).unwrap();
    assert_eq!(w.shown(), "delayed 1 3 2");
    // Behind what is due in the same ms.
    w.change(&all[0], Change::Delay(ms(20))).unwrap();
    assert_eq!(w.shown(), "delayed 3 2 1");
}

fn it_is_told_and_recorded(w: &World) {
    let id = w.add(job().delay(500));
    w.told();
    w.change(&id, Change::Delay(ms(50))).unwrap();
    assert_eq!(w.told(), [format!("delayed jobId=1 delay={}", w.now().as_millis() + 50)]);
    let record = w.record(&id);
    assert_eq!((record.delay, record.options.delay), (ms(50), ms(500)));
}

fn only_a_delayed_one(w: &World) {
    let all = w.add_all([job(), job(), job().priority(1)]);
    w.one();
    for id in &all {
        assert_eq!(w.change(id, Change::Delay(ms(50))), Err(Refusal::NotInState), "{id}");
        assert_eq!(w.record(id).delay, ms(0));
    }
    assert_eq!(w.shown(), "waiting 2, active 1, prioritized 3");
}

fn only_one_that_is_there(w: &World) {
    assert_eq!(w.change(&id("nobody"), Change::Delay(ms(50))), Err(Refusal::MissingJob));
}
