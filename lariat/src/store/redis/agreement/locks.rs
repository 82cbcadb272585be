//! Keeping locks.

use super::*;

#[test]
fn extended_only_while_held() {
    let both = Both::with(Options::default().without_key(":marker").exact_tokens());
    for n in 1..=4 {
        both.add("n", &json!(1), &json!({}), NOW);
        both.hold(n, NOW);
    }
    both.both(&[
        &["SADD", "bull:q:stalled", "1", "2", "3", "4"],
        &["DEL", "bull:q:2:lock"],
        &["SET", "bull:q:3:lock", "somebody", "PX", "30000"],
    ]);
    let locks = [("1", "t:1"), ("2", "t:2"), ("3", "t:3"), ("4", "t:4"), ("nobody", "t:9")];
    assert_eq!(both.extend(&locks, Duration::from_secs(120)), ["2", "3", "nobody"]);
    both.assert_same();
}

#[test]
fn all_of_them() {
    let both = Both::with(Options::default().without_key(":marker").exact_tokens());
    both.add("n", &json!(1), &json!({}), NOW);
    both.hold(1, NOW);
    assert!(both.extend(&[("1", "t:1")], Duration::from_millis(90_001)).is_empty());
    both.assert_same();
    assert_eq!(both.extend(&[("1", "t:2")], Duration::from_secs(5)), ["1"]);
    both.assert_same();
}

#[test]
fn a_job_whose_lock_was_extended_is_no_suspect() {
    let both = Both::without_markers();
    for n in 1..=2 {
        both.add("n", &json!(1), &json!({}), NOW);
        both.hold(n, NOW);
    }
    both.search(NOW + 1);
    both.extend(&[("1", "t:1")], LOCK);
    both.assert_same();
    // Both lapse; only the one that was not renewed since the last search is put back.
    both.both(&[&["DEL", "bull:q:1:lock", "bull:q:2:lock"]]);
    assert_eq!(both.search(NOW + 2), ["2"]);
    both.assert_same();
}
