//! Who runs where: the lock thread does not depend on the program's runtime, nor the handlers on the lock thread.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "a test that meets what it did not expect is to panic"
)]

use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use lariat_lock::testing::ScriptedStore;
use lariat_lock::{BoxFuture, Claim, Instant, LockManager, LockStore, StoreError, Verdict};
use tokio::runtime::Builder;

/// Notes which thread each call is polled on.
#[derive(Clone, Default)]
struct Watched {
    threads: Arc<Mutex<Vec<String>>>,
    script: ScriptedStore,
}

impl LockStore for Watched {
    fn extend<'a>(
        &'a self,
        claims: &'a [Claim],
        lock_duration: Duration,
    ) -> BoxFuture<'a, Result<Vec<Verdict>, StoreError>> {
        Box::pin(async move {
            let name = format!("{:?} {}", thread::current().id(), thread::current().name().unwrap_or_default());
            self.threads.lock().unwrap().push(name);
            self.script.extend(claims, lock_duration).await
        })
    }
}

#[test]
fn no_lock_is_lost_while_every_runtime_thread_is_blocked() {
    let lock = Duration::from_secs(2);
    let store = ScriptedStore::new();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let locks = {
        let _inside = runtime.enter();
        let renew = Duration::from_millis(500);
        LockManager::builder(store.clone()).lock_duration(lock).lock_renew_time(renew).start().unwrap()
    };
    let guards: Vec<_> = (0..50).map(|n| locks.track_job(n.to_string(), "t", Instant::now()).unwrap()).collect();
    let all_blocked = Arc::new(Barrier::new(3));
    for _ in 0..2 {
        let barrier = Arc::clone(&all_blocked);
        runtime.spawn(async move {
            barrier.wait();
            // sleep: to hold the runtime's threads for that long is what is tested
            thread::sleep(lock * 3);
            barrier.wait();
        });
    }
    all_blocked.wait();
    let calls = store.calls().len();
    all_blocked.wait();
    assert!(store.calls().len() >= calls + 6, "renewed meanwhile");
    assert!(guards.iter().all(|guard| guard.check().is_ok()));
    let lost = locks.metrics().lost;
    assert_eq!((lost.missing, lost.taken, lost.expired), (0, 0, 0));
}

#[test]
fn managers_share_one_thread_of_their_own_unless_they_opt_out() {
    let (first, second, third) = (Watched::default(), Watched::default(), Watched::default());
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut kept = Vec::new();
        for (store, dedicated) in [(&first, true), (&second, true), (&third, false)] {
            let locks = LockManager::builder(store.clone())
                .lock_duration(Duration::from_secs(8))
                .lock_renew_time(Duration::from_millis(50))
                .dedicated_thread(dedicated)
                .start()
                .unwrap();
            kept.push(locks.track_job("a", "t", Instant::now()).unwrap());
            store.script.called(1).await;
        }
    });
    let thread_of = |store: &Watched| store.threads.lock().unwrap()[0].clone();
    assert!(thread_of(&first).ends_with("lariat-lock"), "{}", thread_of(&first));
    assert_eq!(thread_of(&first), thread_of(&second));
    assert!(thread_of(&third).ends_with("managers_share_one_thread_of_their_own_unless_they_opt_out"));
}
