//! The manager against a scripted store: what its users see.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "a test that meets what it did not expect is to panic"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use lariat_lock::testing::{Reply, ScriptedStore};
use lariat_lock::{
    BoxFuture, Builder, Claim, ConfigError, Instant, LockEvent, LockManager, LockStore, LossReason, MAX_CLAIMS,
    StoreError, TrackError, Verdict,
};
use tokio::sync::Notify;

/// Renewed often, trusted for long: a machine that stalls for seconds loses nothing.
const LOCK: Duration = Duration::from_secs(8);

fn builder(store: &ScriptedStore) -> Builder {
    LockManager::builder(store.clone()).lock_duration(LOCK).lock_renew_time(Duration::from_millis(100))
}

/// For tests in which trust is to run out: soon.
const SHORT: Duration = Duration::from_millis(400);

fn hasty(store: &ScriptedStore) -> Builder {
    LockManager::builder(store.clone()).lock_duration(SHORT)
}

/// Long enough for any machine; a test that needs it has failed.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("nothing happened for a minute")
}

#[tokio::test]
async fn locks_are_renewed_and_said_to_be() {
    let store = ScriptedStore::new();
    let (tell, told) = mpsc::channel();
    let locks = builder(&store).on_locks_renewed(move |ids| tell.send(ids.to_vec()).unwrap()).start().unwrap();
    let mut events = locks.events();
    let sent = Instant::now();
    let guard = locks.track_job("a", "token-a", sent).unwrap();
    assert_eq!(guard.trusted_until(), sent + locks.terms().trust_window());

    let Some(LockEvent::Renewed { ids, .. }) = soon(events.recv()).await else { panic!("no renewal") };
    assert_eq!(*ids, [Arc::from("a")]);
    soon(store.called(3)).await;
    assert_eq!(told.recv().unwrap(), [Arc::from("a")]);
    assert!(guard.trusted_until() > sent + locks.terms().trust_window(), "trust moves with each renewal");
    assert_eq!(guard.check(), Ok(()));

    let calls = store.calls();
    assert_eq!((&*calls[0].claims[0].token, calls[0].lock_duration), ("token-a", LOCK));
    let metrics = locks.metrics();
    assert!(metrics.renewed >= 2 && metrics.calls.ok >= 2 && metrics.trust_left.count() >= 2, "{metrics:?}");
    assert_eq!(metrics.tracked, 1);
}

#[tokio::test]
async fn a_lock_the_store_denies_is_lost_once_and_for_good() {
    for (verdict, reason) in [(Verdict::Missing, LossReason::Missing), (Verdict::Taken, LossReason::Taken)] {
        let store = ScriptedStore::new();
        store.give("gone", verdict);
        let reported = Arc::new(Mutex::new(Vec::new()));
        let report = Arc::clone(&reported);
        let locks = builder(&store)
            .on_lock_renewal_failed(move |lost| report.lock().unwrap().extend_from_slice(lost))
            .start()
            .unwrap();
        let mut events = locks.events();
        let gone = locks.track_job("gone", "t1", Instant::now()).unwrap();
        let kept = locks.track_job("kept", "t2", Instant::now()).unwrap();
        let early_waiter = gone.lost();

        assert_eq!(soon(early_waiter).await, reason);
        assert_eq!(soon(gone.lost()).await, reason, "a late waiter learns it too");
        assert_eq!((gone.check(), gone.settle(), gone.loss()), (Err(reason), Err(reason), Some(reason)));
        assert_eq!(gone.trust_left(), Duration::ZERO);
        assert!(!locks.is_tracked("gone") && locks.is_tracked("kept"));
        assert_eq!(kept.check(), Ok(()));

        let calls = store.calls().len();
        soon(store.called(calls + 2)).await;
        assert!(store.calls()[calls..].iter().all(|call| call.claims.len() == 1), "a lost lock is not asked for again");
        let lost = soon(async {
            loop {
                if let LockEvent::Lost(lost) = events.recv().await.unwrap() {
                    break lost;
                }
            }
        })
        .await;
        assert_eq!((&*lost.id, lost.generation, lost.reason), ("gone", gone.generation(), reason));
        assert_eq!(*reported.lock().unwrap(), [lost]);
        let losses = locks.metrics().lost;
        assert_eq!((losses.missing + losses.taken, losses.expired), (1, 0));
    }
}

#[tokio::test]
async fn failed_calls_cost_nothing_while_one_gets_through_in_time() {
    let store = ScriptedStore::new();
    let away = || Reply::Fail("away".into());
    for reply in [away(), away(), Reply::Extended, Reply::Hang, Reply::Verdicts(vec![]), Reply::Extended, away()] {
        store.next(reply);
    }
    let locks = builder(&store).start().unwrap();
    let guard = locks.track_job("a", "t", Instant::now()).unwrap();
    soon(store.called(9)).await;
    assert_eq!(guard.check(), Ok(()));
    let metrics = locks.metrics();
    assert_eq!((metrics.calls.failed, metrics.calls.timed_out), (4, 1));
    assert_eq!((metrics.lost.expired, metrics.retries), (0, 5));
}

#[tokio::test]
async fn a_store_that_hangs_ends_trust_before_the_lock() {
    let store = ScriptedStore::new();
    store.otherwise(Reply::Hang);
    let lock = Duration::from_secs(2);
    let locks = LockManager::builder(store.clone()).lock_duration(lock).start().unwrap();
    let mut events = locks.events();
    let sent = Instant::now();
    let guard = locks.track_job("a", "t", sent).unwrap();
    assert_eq!(soon(guard.lost()).await, LossReason::Expired);
    let stopped = sent.elapsed();
    assert!(stopped >= locks.terms().trust_window(), "not before trust is over: {stopped:?}");
    assert!(stopped < lock, "the server lets the lock lapse at {lock:?}, the handler was told at {stopped:?}");
    assert!(store.calls().len() >= 2, "a call that hangs is given up and sent again");
    assert_eq!(store.most_in_flight(), 1);
    let Some(LockEvent::CallFailed { timed_out: true, claims: 1, .. }) = soon(events.recv()).await else {
        panic!("the call's deadline is told")
    };
    assert_eq!(locks.active_job_count(), 0);
}

#[tokio::test]
async fn check_needs_no_other_thread_to_see_that_trust_is_over() {
    let store = ScriptedStore::new();
    store.otherwise(Reply::Hang);
    // All on this one thread, which spins: neither the driver nor the watchdog can have seen it first.
    let locks = hasty(&store).dedicated_thread(false).start().unwrap();
    let window = locks.terms().trust_window();
    let guard = locks.track_job("a", "t", Instant::now() - (window - Duration::from_millis(30))).unwrap();
    while Instant::now() < guard.trusted_until() {
        std::hint::spin_loop();
    }
    assert_eq!(guard.check(), Err(LossReason::Expired));
    assert_eq!(guard.loss(), Some(LossReason::Expired), "and it is final");
    guard.confirm(Instant::now());
    assert_eq!(guard.check(), Err(LossReason::Expired));
    assert_eq!(locks.metrics().lost.expired, 1);
}

#[tokio::test]
async fn a_settling_claim_is_renewed_but_not_lost() {
    let store = ScriptedStore::new();
    store.give("a", Verdict::Missing);
    let locks = builder(&store).start().unwrap();
    let (denied, silent) = (locks.track_job("a", "t", Instant::now()).unwrap(), ScriptedStore::new());
    assert_eq!(denied.settle(), Ok(()));
    soon(store.called(1)).await;

    silent.otherwise(Reply::Hang);
    let others = hasty(&silent).start().unwrap();
    let unanswered = others.track_job("b", "t", Instant::now()).unwrap();
    assert_eq!(unanswered.settle(), Ok(()));
    let calls = soon(async {
        while Instant::now() < unanswered.trusted_until() + SHORT {
            silent.called(silent.calls().len() + 1).await;
        }
        silent.calls().len()
    })
    .await;
    assert!(calls > 2, "still tried after the end of its trust");
    for guard in [&denied, &unanswered] {
        assert_eq!((guard.check(), guard.loss()), (Ok(()), None));
    }
    assert!(locks.is_tracked("a") && others.is_tracked("b"), "kept until the outcome is answered");
    assert_eq!(store.calls().len(), 1, "a negative verdict is final, it is not asked for again");
    assert!(locks.tracked_job_ids()[0].settling);
    drop(denied);
    assert!(!locks.is_tracked("a"));
}

#[tokio::test]
async fn an_untracked_claim_in_flight_is_not_reported() {
    let store = ScriptedStore::new();
    let gate = Arc::new(Notify::new());
    store.next(Reply::When(Arc::clone(&gate), Box::new(Reply::Verdicts(vec![Verdict::Missing; 2]))));
    let locks = builder(&store).start().unwrap();
    let mut events = locks.events();
    let done = locks.track_job("done", "t1", Instant::now()).unwrap();
    let held = locks.track_job("held", "t2", Instant::now()).unwrap();
    soon(store.called(1)).await;
    drop(done);
    let again = locks.track_job("done", "t3", Instant::now()).unwrap();
    gate.notify_one();
    assert_eq!(soon(held.lost()).await, LossReason::Missing);
    let Some(LockEvent::Lost(lost)) = soon(events.recv()).await else { panic!("no loss") };
    assert_eq!(lost.generation, held.generation());
    assert_eq!(again.loss(), None, "the answer was for an earlier generation");
    assert_eq!(locks.metrics().lost.missing, 1);
}

#[tokio::test]
async fn a_late_drop_does_not_touch_a_newer_claim_of_the_id() {
    let locks = builder(&ScriptedStore::new()).start().unwrap();
    let first = locks.track_job("a", "t1", Instant::now()).unwrap();
    let second = locks.track_job("a", "t2", Instant::now()).unwrap();
    assert!(second.generation() > first.generation());
    assert_eq!(locks.active_job_count(), 2);
    drop(first);
    let tracked = locks.tracked_job_ids();
    assert_eq!((tracked.len(), &*tracked[0].token_tail, tracked[0].generation), (1, "t2", second.generation()));
    let third = locks.track_job("a", "t3", Instant::now()).unwrap();
    assert!(locks.untrack_job("a") && !locks.is_tracked("a"), "by id, all generations go");
    assert!(!locks.untrack_job("a"));
    assert_eq!((locks.active_job_count(), third.loss()), (0, None));
}

#[tokio::test]
async fn many_locks_go_in_chunks_one_at_a_time_and_a_failed_one_fails_alone() {
    let store = ScriptedStore::new();
    store.next(Reply::Fail("this chunk only".into()));
    let locks = builder(&store).lock_renew_time(Duration::from_secs(1)).start().unwrap();
    let sent = Instant::now();
    let guards: Vec<_> = (0..1200).map(|n| locks.track_job(n.to_string(), "t", sent).unwrap()).collect();
    soon(store.called(4)).await;
    soon(async {
        while locks.metrics().renewed < 1200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let sizes: Vec<_> = store.calls().iter().map(|call| call.claims.len()).collect();
    assert_eq!(sizes[..4], [MAX_CLAIMS, MAX_CLAIMS, 200, MAX_CLAIMS]);
    assert_eq!(store.most_in_flight(), 1);
    assert!(guards.iter().all(|guard| guard.trusted_until() > sent + locks.terms().trust_window()));
    assert_eq!(locks.metrics().calls.failed, 1);
}

#[tokio::test]
async fn a_panic_restarts_the_driver_from_the_kept_table() {
    let store = ScriptedStore::new();
    store.next(Reply::Panic("the store has a bug".into()));
    let locks = builder(&store).start().unwrap();
    let mut events = locks.events();
    let guard = locks.track_job("a", "t", Instant::now()).unwrap();
    let Some(LockEvent::Restarted { restarts: 1, panic, .. }) = soon(events.recv()).await else { panic!("no restart") };
    assert_eq!(&*panic, "the store has a bug");
    assert!(matches!(soon(events.recv()).await, Some(LockEvent::Renewed { .. })));
    assert_eq!(guard.check(), Ok(()));
    assert_eq!(locks.metrics().restarts, 1);
}

#[tokio::test]
async fn a_driver_that_only_panics_lets_trust_run_out_refuses_work_and_may_recover() {
    let store = ScriptedStore::new();
    store.otherwise(Reply::Panic("always".into()));
    let locks = builder(&store)
        .lock_duration(Duration::from_secs(2))
        .lock_renew_time(Duration::from_millis(20))
        .start()
        .unwrap();
    let guard = locks.track_job("a", "t", Instant::now()).unwrap();
    soon(store.called(5)).await;
    let refused = soon(async {
        loop {
            if let Err(error) = locks.track_job("b", "t", Instant::now()) {
                break error;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(refused, TrackError::Broken);
    assert_eq!(soon(guard.lost()).await, LossReason::Expired);
    store.otherwise(Reply::Extended);
    let recovered = soon(async {
        loop {
            match locks.track_job("c", "t", Instant::now()) {
                Ok(guard) => break guard,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    let calls = store.calls().len();
    soon(store.called(calls + 2)).await;
    assert_eq!(recovered.check(), Ok(()));
}

#[tokio::test]
async fn a_listener_that_sleeps_for_ever_holds_nothing_up() {
    let store = ScriptedStore::new();
    let (wake, sleep) = mpsc::channel::<()>();
    let sleep = Mutex::new(sleep);
    let entered = Arc::new(AtomicUsize::new(0));
    let entries = Arc::clone(&entered);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let locks = {
        let _inside = runtime.enter();
        let callback = move |_: &[Arc<str>]| {
            entries.fetch_add(1, Ordering::SeqCst);
            let _ = sleep.lock().unwrap().recv();
        };
        builder(&store).on_locks_renewed(callback).start().unwrap()
    };
    let _unread = locks.events();
    let guard = locks.track_job("a", "t", Instant::now()).unwrap();
    soon(store.called(8)).await;
    assert_eq!(entered.load(Ordering::SeqCst), 1, "the callback still sleeps in its first call");
    assert_eq!(guard.check(), Ok(()));
    drop(wake);
    runtime.shutdown_background();
}

#[tokio::test]
async fn a_callback_that_panics_is_called_again() {
    let store = ScriptedStore::new();
    let (tell, told) = mpsc::channel();
    let callback = move |_: &[Arc<str>]| {
        tell.send(()).unwrap();
        std::panic::resume_unwind(Box::new("a bug in the callback"));
    };
    let locks = builder(&store).on_locks_renewed(callback).start().unwrap();
    let _guard = locks.track_job("a", "t", Instant::now()).unwrap();
    soon(store.called(4)).await;
    let twice = tokio::task::spawn_blocking(move || told.iter().take(2).count());
    assert_eq!(soon(twice).await.unwrap(), 2);
}

#[tokio::test]
async fn stop_renews_while_it_drains() {
    let store = ScriptedStore::new();
    let locks = builder(&store).start().unwrap();
    let mut events = locks.events();
    let guard = locks.track_job("a", "t", Instant::now()).unwrap();
    let stopping = tokio::spawn({
        let locks = locks.clone();
        async move { locks.stop(Duration::from_secs(60)).await }
    });
    soon(async {
        while locks.track_job("b", "t", Instant::now()).is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(locks.track_job("b", "t", Instant::now()).unwrap_err(), TrackError::Stopped);
    let calls = store.calls().len();
    soon(store.called(calls + 4)).await;
    assert_eq!(guard.check(), Ok(()));
    drop(guard);
    assert_eq!(soon(stopping).await.unwrap(), 0);
    assert_eq!(soon(locks.stop(Duration::from_secs(60))).await, 0, "again, at once");
    soon(async { while events.recv().await.is_some() {} }).await;
    assert!(soon(locks.events().recv()).await.is_none());
}

#[tokio::test]
async fn past_the_deadline_of_a_stop_trust_runs_out() {
    let store = ScriptedStore::new();
    let locks = hasty(&store).start().unwrap();
    let guard = locks.track_job("a", "t", Instant::now()).unwrap();
    assert_eq!(soon(locks.stop(Duration::ZERO)).await, 1);
    let calls = store.calls().len();
    assert_eq!(soon(guard.lost()).await, LossReason::Expired);
    assert!(store.calls().len() <= calls + 1, "at most the call that was out already");
    assert_eq!(soon(locks.stop(Duration::from_secs(60))).await, 0);
}

#[tokio::test]
async fn the_driver_ends_with_its_last_handle_but_not_before_its_last_guard() {
    let store = ScriptedStore::new();
    let locks = builder(&store).start().unwrap();
    let mut events = locks.events();
    let guard = locks.track_job("a", "t", Instant::now()).unwrap();
    drop(locks);
    soon(store.called(2)).await;
    assert_eq!(guard.check(), Ok(()));
    drop(guard);
    soon(async { while events.recv().await.is_some() {} }).await;
}

/// What the store holds (a connection, a file) may have to be given up before the program ends.
#[tokio::test]
async fn the_store_is_dropped_with_the_last_handle_and_not_some_time_later() {
    struct Holds {
        _file: Arc<()>,
    }
    impl LockStore for Holds {
        fn extend<'a>(&'a self, claims: &'a [Claim], _: Duration) -> BoxFuture<'a, Result<Vec<Verdict>, StoreError>> {
            Box::pin(async { Ok(vec![Verdict::Extended; claims.len()]) })
        }
    }
    let held = Arc::new(());
    for _ in 0..100 {
        let locks = LockManager::builder(Holds { _file: Arc::clone(&held) }).start().unwrap();
        let guard = locks.track_job("a", "t", Instant::now()).unwrap();
        drop(locks);
        assert_eq!(Arc::strong_count(&held), 2);
        drop(guard);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

/// A store whose calls never end, and whose end takes as long as somebody wants.
struct Slow {
    called: Arc<Notify>,
    may_end: Mutex<mpsc::Receiver<()>>,
}

impl LockStore for Slow {
    fn extend<'a>(&'a self, _: &'a [Claim], _: Duration) -> BoxFuture<'a, Result<Vec<Verdict>, StoreError>> {
        self.called.notify_one();
        Box::pin(std::future::pending())
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.may_end.get_mut().unwrap().recv();
    }
}

/// All managers share a thread: what one of them leaves behind must cost the others no lock.
#[tokio::test]
async fn a_store_that_is_slow_to_end_holds_up_no_other_manager() {
    // Before the other, so that it has the same thread.
    let store = ScriptedStore::new();
    let second = builder(&store).start().unwrap();
    let (end, may_end) = mpsc::channel::<()>();
    let called = Arc::new(Notify::new());
    let slow = Slow { called: Arc::clone(&called), may_end: Mutex::new(may_end) };
    let first =
        LockManager::builder(slow).lock_duration(LOCK).lock_renew_time(Duration::from_millis(100)).start().unwrap();
    let guard = first.track_job("a", "t", Instant::now()).unwrap();
    soon(called.notified()).await;
    drop((first, guard));
    let _guard = second.track_job("b", "t", Instant::now()).unwrap();
    soon(store.called(3)).await;
    drop(end);
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused() {
    let store = ScriptedStore::new();
    let locks = builder(&store).start().unwrap();
    let old = locks.track_job("a", "t", Instant::now() - locks.terms().trust_window());
    assert_eq!(old.unwrap_err(), TrackError::Expired);
    assert_eq!(locks.active_job_count(), 0);
    let future = locks.track_job("b", "t", Instant::now() + LOCK * 100).unwrap();
    assert!(future.trust_left() <= locks.terms().trust_window(), "a grant cannot lie in the future");

    let long_renew = builder(&store).lock_renew_time(LOCK).start();
    assert!(matches!(long_renew, Err(ConfigError::OutOfRange { field: "lock_renew_time", value: LOCK, .. })));
    let elsewhere = std::thread::spawn(move || builder(&store).start().map(drop));
    assert!(matches!(elsewhere.join().unwrap(), Err(ConfigError::NoRuntime)));
}

#[tokio::test]
async fn short_jobs_do_not_wake_the_driver_one_by_one() {
    let store = ScriptedStore::new();
    let locks = LockManager::builder(store.clone()).start().unwrap();
    let began = Instant::now();
    for n in 0..20_000 {
        drop(locks.track_job(n.to_string(), "t", Instant::now()).unwrap());
    }
    // One wake-up out of deep sleep, and one a second.
    let expected = 2 + began.elapsed().as_secs();
    assert!(locks.metrics().wakeups <= expected, "{} wake-ups", locks.metrics().wakeups);
    assert_eq!(store.calls().len(), 0);
}

#[tokio::test]
async fn a_grant_seen_elsewhere_spares_a_renewal() {
    // A busy machine may not let this thread confirm in time: only a trial in which it could says something.
    for _ in 0..200 {
        let store = ScriptedStore::new();
        let locks = builder(&store).start().unwrap();
        let guard = locks.track_job("a", "t", Instant::now()).unwrap();
        let other = locks.track_job("b", "t", Instant::now()).unwrap();
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        while store.calls().len() < 4 {
            let now = Instant::now();
            longest = longest.max(now - last);
            last = now;
            guard.confirm(now);
            tokio::task::yield_now().await;
        }
        if longest.max(last.elapsed()) > locks.terms().tick() / 4 {
            continue;
        }
        assert!(store.calls().iter().all(|call| call.claims.len() == 1 && &*call.claims[0].id == "b"));
        assert_eq!((guard.check(), other.check()), (Ok(()), Ok(())));
        return;
    }
    panic!("this thread never ran often enough");
}
