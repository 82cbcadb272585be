//! Waiting for a condition. The deadline is only there to end a test that will never succeed, so it is generous.

use std::time::{Duration, Instant};

/// When a wait gives up: long enough for a slow, busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(5);

/// Returns once `done` is true; panics with `what` after [`DEADLINE`].
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let give_up = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < give_up, "waited {DEADLINE:?} in vain: {what}");
        std::thread::sleep(POLL);
    }
}

/// Returns what `find` finds as soon as it is something; panics with `what` after [`DEADLINE`].
pub fn find<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    until(what, || {
        found = find();
        found.is_some()
    });
    found.expect("until returned, so it was found")
}

/// Like [`until`], for async tests and conditions: the runtime goes on meanwhile.
pub async fn until_async<F>(what: &str, mut done: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let give_up = Instant::now() + DEADLINE;
    while !done().await {
        assert!(Instant::now() < give_up, "waited {DEADLINE:?} in vain: {what}");
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_looks_again_until_it_is_true() {
        let mut looks = 0;
        until("third look", || {
            looks += 1;
            looks == 3
        });
        assert_eq!(looks, 3);
    }

    #[test]
    fn find_hands_out_what_it_found() {
        let mut looks = 0;
        let found = find("second look", || {
            looks += 1;
            (looks == 2).then_some("there")
        });
        assert_eq!(found, "there");
    }

    #[tokio::test]
    async fn until_async_lets_the_runtime_go_on() {
        let (tx, rx) = tokio::sync::watch::channel(false);
        tokio::spawn(async move { tx.send(true) });
        until_async("the other task", || async { *rx.borrow() }).await;
    }
}
