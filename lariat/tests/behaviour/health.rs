//! Whether a worker gets anywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use interop::proxy::{self, Fault, Proxy};
use interop::wait;
use lariat::{Health, HealthProblem, JobError, JobState, Store, Worker};

use crate::fixture::{Fixture, Gate, QUEUE, SECOND, on_both_stores};

on_both_stores! {
    idle_busy_and_quiet_workers_are_healthy_and_one_that_has_ended_is_not,
    a_store_that_is_away_for_long_is_noticed_and_its_return_too,
    locks_that_are_not_renewed_are_noticed_while_there_is_time,
    a_runtime_that_is_blocked_is_noticed_from_a_thread,
}

const LOCK: Duration = Duration::from_secs(4);

fn no_answer(health: &Health) -> bool {
    matches!(health.problems[..], [HealthProblem::NoAnswer { .. }])
}

async fn idle_busy_and_quiet_workers_are_healthy_and_one_that_has_ended_is_not(f: Fixture) {
    let gate = Gate::new();
    let worker = f.worker().lock_duration(LOCK).start(gate.handler()).unwrap();
    assert!(worker.health().is_healthy(), "before its first answer");
    wait::until_async("the store has answered", || async { worker.health().answered_ago.is_some() }).await;
    let id = f.queue.add("x", &()).await.unwrap();
    gate.started().await;
    // Longer than it would take to be called silent, were an answer due.
    wait::until_async("it has asked for nothing for long", || async {
        let busy = worker.health();
        assert!(busy.is_healthy(), "{busy:?}");
        assert!(busy.oldest_renewal.unwrap() < LOCK, "its lock is renewed: {busy:?}");
        busy.answered_ago.unwrap() > LOCK + SECOND
    })
    .await;
    worker.quiet();
    gate.open();
    f.until(&id, JobState::Completed).await;
    wait::until_async("it holds nothing", || async { worker.health().oldest_renewal.is_none() }).await;
    assert!(worker.health().is_healthy());
    worker.close(SECOND).await;
    let ended = worker.health();
    assert!(matches!(&ended.problems[..], [HealthProblem::Ended { why }] if why == "it was closed"), "{ended:?}");
    assert!(!ended.is_healthy());
}

async fn a_store_that_is_away_for_long_is_noticed_and_its_return_too(f: Fixture) {
    let worker = f.worker().lock_duration(LOCK).start(async |_| Ok::<_, JobError>(())).unwrap();
    wait::until_async("the store has answered", || async { worker.health().answered_ago.is_some() }).await;
    f.freeze();
    wait::until_async("the silence is noticed", || async { no_answer(&worker.health()) }).await;
    let words = worker.health().problems[0].to_string();
    assert!(words.contains("overdue"), "{words}");
    f.thaw();
    wait::until_async("it is well again", || async { worker.health().is_healthy() }).await;
}

async fn locks_that_are_not_renewed_are_noticed_while_there_is_time(f: Fixture) {
    let gate = Gate::new();
    let worker = f.worker().lock_duration(6 * SECOND).start(gate.handler()).unwrap();
    f.queue.add("x", &()).await.unwrap();
    let job = gate.started().await;
    f.freeze();
    let late = || async { matches!(worker.health().problems[..], [HealthProblem::NotRenewed { .. }]) };
    wait::until_async("the late renewal is noticed", late).await;
    assert!(job.cancel_reason().is_none(), "the lock is trusted still");
    f.thaw();
    wait::until_async("it is well again", || async { worker.health().is_healthy() }).await;
    gate.open();
}

/// A liveness probe on a thread of its own sees what the blocked runtime cannot.
async fn a_runtime_that_is_blocked_is_noticed_from_a_thread(f: Fixture) {
    let runs = std::thread::spawn(move || blocked_and_probed(&f));
    wait::until_async("all of it has been seen", || async { runs.is_finished() }).await;
    runs.join().unwrap();
}

fn blocked_and_probed(f: &Fixture) {
    let noticed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&noticed);
    let handler = move |_| {
        let seen = Arc::clone(&seen);
        async move {
            // The only thread of the runtime is blocked until somebody has noticed.
            wait::until("the probe has noticed", || seen.load(Ordering::Relaxed));
            Ok::<_, JobError>(())
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let worker = runtime.block_on(async {
        let worker = f.worker().concurrency(2).lock_duration(LOCK).start(handler).unwrap();
        f.until_waited_for(0).await;
        worker
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wait::until("the blocked runtime is noticed", || no_answer(&worker.health()));
            noticed.store(true, Ordering::Relaxed);
        });
        // A look may come to nothing: it is made on the thread that is blocked.
        let done = || async { f.queue.overview().await.is_ok_and(|queue| queue.counts.completed == 1) };
        runtime.block_on(async {
            // With the probe at work: the handler may block the thread before this is answered.
            f.queue.add("x", &()).await.unwrap();
            wait::until_async("the job is done", done).await;
        });
    });
    runtime.block_on(wait::until_async("it is well again", || async { worker.health().is_healthy() }));
    runtime.block_on(worker.close(SECOND));
}

/// On Redis only: nobody waits for a file on a connection.
#[tokio::test]
async fn a_dead_blocking_connection_is_left_behind() {
    let f = Fixture::on_redis();
    let proxy = Proxy::start(f.server.port());
    let store = Store::open(&proxy.url()).unwrap();
    let dead = proxy.on_next(proxy::holding(b"bzpopmin"), Fault::BlackHole);
    let gate = Gate::new();
    gate.open();
    let worker = Worker::builder(&store, QUEUE).start(gate.handler()).unwrap();
    dead.wait_for_async(1).await;
    // The marker goes to nobody, or to a connection that swallows it: only the end of the wait can tell.
    let id = f.queue.add("x", &()).await.unwrap();
    f.until(&id, JobState::Completed).await;
    assert!(worker.health().is_healthy(), "{:?}", worker.health());
    let next = f.queue.add("y", &()).await.unwrap();
    f.until(&next, JobState::Completed).await;
    worker.close(SECOND).await;
}
