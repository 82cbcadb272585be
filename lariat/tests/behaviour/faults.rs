//! What happens when the store, or the way to it, fails.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use interop::proxy::{self, Fault, Proxy};
use interop::wait;
use lariat::{Job, JobError, JobState, NewJob, Queue, Store, Worker, WorkerEvent};

use crate::fixture::{Fixture, Gate, QUEUE, SECOND, event, on_both_stores};

on_both_stores! {
    a_worker_outlives_its_store,
    a_store_that_does_not_answer_for_a_while_ends_no_job_twice_and_every_job_ends on 2 threads,
}

/// The same server, by way of a proxy.
fn by_proxy(f: &Fixture) -> (Proxy, Store) {
    let proxy = Proxy::start(f.server.port());
    let store = Store::open(&proxy.url()).unwrap();
    (proxy, store)
}

/// On Redis only: a file sends no replies. Lost ones on both: `store/conformance/faults`.
#[tokio::test]
async fn an_add_whose_reply_is_lost_adds_once() {
    let f = Fixture::on_redis();
    let (proxy, store) = by_proxy(&f);
    let queue = Queue::new(&store, QUEUE).unwrap().with_patience(60 * SECOND);
    queue.add("warm", &0).await.unwrap();
    for n in 1..=20 {
        let lost = proxy.on_next(proxy::holding(b"evalsha"), Fault::LoseReply);
        queue.add("n", &n).await.unwrap();
        assert_eq!(lost.count(), 1, "the reply was lost");
    }
    assert_eq!(f.queue.overview().await.unwrap().counts.waiting, 21);
}

/// On Redis only: a file sends no replies. Lost ones on both: `store/conformance/faults`.
#[tokio::test]
async fn exchanges_whose_replies_are_lost_lose_and_double_nothing() {
    let f = Fixture::on_redis();
    let (proxy, store) = by_proxy(&f);
    let ids = f.queue.add_bulk((0..200).map(|n| NewJob::new("n", &n))).await.unwrap();
    let runs: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let counted = Arc::clone(&runs);
    let handler = move |job: Job| {
        *counted.lock().unwrap().entry(job.id().to_string()).or_default() += 1;
        async { Ok::<_, JobError>(()) }
    };
    let worker = Worker::builder(&store, QUEUE).concurrency(8).start(handler).unwrap();
    let watch = proxy.on_each(every_third(), Fault::LoseReply);
    wait::until_async("all done", || async { f.queue.overview().await.unwrap().counts.completed == 200 }).await;
    assert!(watch.count() > 5, "replies were lost: {}", watch.count());
    proxy.clear();
    worker.close(60 * SECOND).await;
    let runs = runs.lock().unwrap().clone();
    for id in &ids {
        let record = f.job(id).await.record;
        assert_eq!((record.attempts_made, record.attempts_started, runs[id.as_str()]), (1, 1, 1), "job {id}");
    }
}

fn every_third() -> proxy::Matcher {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let script = proxy::holding(b"evalsha");
    Box::new(move |bytes: &[u8]| script(bytes) && calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 3 == 2)
}

async fn a_worker_outlives_its_store(mut f: Fixture) {
    let gate = Gate::new();
    gate.open();
    let worker = f.worker().start(gate.handler()).unwrap();
    let mut events = worker.events();
    let before = f.queue.add("before", &()).await.unwrap();
    f.until(&before, JobState::Completed).await;
    f.go_away();
    event(&mut events, |e| matches!(e, WorkerEvent::StoreLost { .. }).then_some(())).await;
    f.come_back();
    event(&mut events, |e| matches!(e, WorkerEvent::StoreBack).then_some(())).await;
    let queue = f.queue.clone().with_patience(60 * SECOND);
    let after = queue.add("after", &()).await.unwrap();
    f.until(&after, JobState::Completed).await;
}

async fn a_store_that_does_not_answer_for_a_while_ends_no_job_twice_and_every_job_ends(f: Fixture) {
    let lock = Duration::from_millis(600);
    let accepted: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let mut workers = Vec::new();
    let mut listeners = Vec::new();
    for _ in 0..2 {
        let handler = async |_: Job| {
            // sleep: the handler's work
            tokio::time::sleep(Duration::from_millis(30)).await;
            Ok::<_, JobError>(())
        };
        let worker = f
            .worker()
            .concurrency(5)
            .lock_duration(lock)
            .cancel_grace(Duration::from_millis(50))
            .stalled_interval(Duration::from_millis(300))
            .max_stalled(100)
            .start(handler)
            .unwrap();
        let (mut events, accepted) = (worker.events(), Arc::clone(&accepted));
        listeners.push(tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if let WorkerEvent::Completed { id } = event {
                    *accepted.lock().unwrap().entry(id.to_string()).or_default() += 1;
                }
            }
        }));
        workers.push(worker);
    }
    let ids = f.queue.add_bulk((0..150).map(|n| NewJob::new("n", &n))).await.unwrap();
    for _ in 0..3 {
        wait::until_async("jobs are running", || async { f.queue.overview().await.unwrap().counts.active > 0 }).await;
        f.freeze();
        let frozen = std::time::Instant::now();
        tokio::task::block_in_place(|| wait::until("longer than the lock", || frozen.elapsed() > 2 * lock));
        f.thaw();
    }
    wait::until_async("every job has ended", || async { f.queue.overview().await.unwrap().counts.completed == 150 })
        .await;
    for worker in &workers {
        worker.close(60 * SECOND).await;
    }
    drop(workers);
    for listener in listeners {
        listener.await.unwrap();
    }
    let accepted = accepted.lock().unwrap().clone();
    for id in &ids {
        assert_eq!(accepted.get(id.as_str()), Some(&1), "job {id}");
        assert_eq!(f.job(id).await.record.attempts_made, 1, "job {id}");
    }
    assert_eq!(f.queue.overview().await.unwrap().counts.active, 0);
}

/// On Redis only: a file has no scripts.
#[tokio::test]
async fn forgotten_scripts_are_loaded_again() {
    let f = Fixture::on_redis();
    let worker = f.worker().start(async |_| Ok::<_, JobError>(())).unwrap();
    for n in 0..10 {
        f.redis::<()>("SCRIPT FLUSH");
        let id = f.queue.add("n", &n).await.unwrap();
        f.until(&id, JobState::Completed).await;
        assert_eq!(f.job(&id).await.record.attempts_started, 1);
    }
    worker.close(SECOND).await;
}

/// On Redis only: users and their rights. Those of a file: `tests/crash/faults`.
#[tokio::test]
async fn a_user_who_may_not_work_ends_the_worker_before_it_asks_for_jobs() {
    let f = Fixture::on_redis();
    f.redis::<()>("ACL SETUSER ann on >pw ~bull:* +@all");
    let store = Store::open(&format!("redis://ann:pw@127.0.0.1:{}", f.server.port())).unwrap();
    let worker = Worker::builder(&store, "mail").start(async |_| Ok::<_, JobError>(())).unwrap();
    let mut events = worker.events();
    let mut said = Vec::new();
    while let Some(event) = events.next().await {
        said.push(event);
    }
    assert!(matches!(&said[..], [WorkerEvent::Stopped { why }] if why.contains("lariat:")), "{said:?}");
    assert!(worker.stopped().await.why.is_some());
}
