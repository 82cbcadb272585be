//! Taking: order, promotion, pause, concurrency, rate limits, ghosts.

use super::*;
use crate::store::exchange::Hint;

#[test]
fn one_job_is_activated() {
    let both = Both::without_markers();
    both.add("n", &json!({"a": 1}), &json!({"attempts": 2}), NOW);
    assert_eq!(both.fetch(1, NOW + 5).as_deref(), Some("1"));
    assert_eq!(both.fetch(2, NOW + 6), None);
    both.assert_same();
}
