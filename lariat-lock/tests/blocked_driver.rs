//! The lock thread itself is blocked, by a store that breaks its contract. Alone in its file: the thread is shared.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "a test that meets what it did not expect is to panic"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lariat_lock::{BoxFuture, Claim, Instant, LockManager, LockStore, LossReason, StoreError, TrackError, Verdict};
use tokio::runtime::Builder;

#[derive(Clone, Default)]
struct Blocking {
    entered: Arc<AtomicBool>,
    release: Arc<AtomicBool>,
}

impl LockStore for Blocking {
    fn extend<'a>(&'a self, claims: &'a [Claim], _: Duration) -> BoxFuture<'a, Result<Vec<Verdict>, StoreError>> {
        Box::pin(async move {
            self.entered.store(true, Ordering::SeqCst);
            while !self.release.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            Ok(vec![Verdict::Extended; claims.len()])
        })
    }
}

#[test]
fn handlers_are_stopped_and_work_is_refused_until_the_driver_runs_again() {
    let store = Blocking::default();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let locks = {
        let _inside = runtime.enter();
        LockManager::builder(store.clone()).lock_duration(Duration::from_secs(1)).start().unwrap()
    };
    let guard = locks.track_job("a", "t", Instant::now()).unwrap();
    assert_eq!(runtime.block_on(guard.lost()), LossReason::Expired);
    assert!(store.entered.load(Ordering::SeqCst), "the lock thread is in the call");

    let refused = loop {
        match locks.track_job("b", "t", Instant::now()) {
            Ok(_) => thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, TrackError::Broken);

    store.release.store(true, Ordering::SeqCst);
    while locks.track_job("c", "t", Instant::now()).is_err() {
        thread::yield_now();
    }
    assert_eq!(locks.metrics().lost.expired, 1);
}
