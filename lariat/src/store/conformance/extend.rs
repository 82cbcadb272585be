//! Renewing locks.

use lariat_lock::{Claim, Verdict};

use super::cases;
use super::world::{LOCK, World, job};

cases! {
    what_is_held_is_extended,
    each_claim_has_its_own_answer,
    an_ended_job_has_no_lock,
    none_are_asked_for,
    many_at_once,
    of_ids_of_every_kind,
    somebody_elses_is_taken,
}

fn extend(w: &World, claims: &[Claim]) -> Vec<Verdict> {
    w.runtime.block_on(w.locks.extend(claims, LOCK * 2)).unwrap()
}

fn what_is_held_is_extended(w: &World) {
    w.add(job());
    let held = w.one();
    let left = || w.runtime.block_on(w.queue.held(1)).unwrap()[0].left.unwrap();
    assert!(left() <= LOCK);
    assert_eq!(extend(w, &[held.claim()]), [Verdict::Extended]);
    assert!(left() > LOCK);
    w.accept(held.complete());
}

fn each_claim_has_its_own_answer(w: &World) {
    w.add_all((0..4).map(|_| job()));
    let held = w.take(4);
    w.hands.lapse("2");
    w.hands.give_lock("3", "another:1");
    let claims: Vec<_> = held.iter().map(super::world::Held::claim).chain([Claim::new("nobody", "lane:1")]).collect();
    let expected = [Verdict::Extended, Verdict::Missing, Verdict::Taken, Verdict::Extended, Verdict::Missing];
    assert_eq!(extend(w, &claims), expected);
}

fn an_ended_job_has_no_lock(w: &World) {
    w.add_all([job(), job()]);
    let held = w.take(2);
    w.accept(held[0].complete());
    w.accept(held[1].put_back());
    assert_eq!(extend(w, &[held[0].claim(), held[1].claim()]), [Verdict::Missing, Verdict::Missing]);
    assert_eq!(w.shown(), "waiting 2, completed 1");
}

fn none_are_asked_for(w: &World) {
    assert!(extend(w, &[]).is_empty());
}

fn many_at_once(w: &World) {
    w.add_all((0..500).map(|_| job()));
    let mut claims = Vec::new();
    while claims.len() < 500 {
        claims.extend(w.take(64).iter().map(super::world::Held::claim));
    }
    assert_eq!(extend(w, &claims), vec![Verdict::Extended; 500]);
}

fn of_ids_of_every_kind(w: &World) {
    w.add_all(["a", "0x1", "ü", "a b", "'"].map(|id| job().id(id)));
    let claims: Vec<_> = w.take(5).iter().map(super::world::Held::claim).collect();
    assert_eq!(extend(w, &claims), vec![Verdict::Extended; 5]);
}

fn somebody_elses_is_taken(w: &World) {
    w.add(job());
    let held = w.one();
    w.hands.give_lock("1", "another:1");
    assert_eq!(extend(w, &[held.claim()]), [Verdict::Taken]);
    assert_eq!(extend(w, &[held.by("another:1").claim()]), [Verdict::Extended]);
}
