//! Handlers that do what they should not, users that may not what they need, and workers that come and go.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use interop::wait;
use lariat::{ErrorKind, Job, JobError, JobState, Manual, NewJob, Queue, Store, Worker, WorkerBuilder, WorkerEvent};

use crate::fixture::{Fixture, QUEUE, SECOND, event, on_both_stores};

on_both_stores! {
    a_handler_that_never_ends_gives_its_slot_back_when_its_time_is_over,
    what_a_handler_spawns_may_outlive_it_and_can_no_longer_report,
    a_result_that_is_too_large_costs_only_its_job,
    a_handler_that_blocks_its_thread_is_left_behind_by_a_close_and_its_job_found on 3 threads,
    a_handler_whose_destructor_panics_takes_nothing_with_it,
    workers_that_come_and_go_run_each_job_once on 2 threads,
}

fn impatient(f: &Fixture) -> WorkerBuilder {
    f.worker().cancel_grace(Duration::from_millis(20))
}

async fn a_handler_that_never_ends_gives_its_slot_back_when_its_time_is_over(f: Fixture) {
    let endless = f.queue.add("endless", &()).timeout(Duration::from_millis(30)).attempts(2).await.unwrap();
    let next = f.queue.add("next", &()).await.unwrap();
    let handler = async |job: Job| {
        if job.name() == "endless" {
            std::future::pending::<()>().await;
        }
        Ok::<_, JobError>(())
    };
    let worker = impatient(&f).start(handler).unwrap();
    f.until(&next, JobState::Completed).await;
    let job = f.until(&endless, JobState::Failed).await.record;
    assert_eq!((job.attempts_made, job.failed_reason.as_deref()), (2, Some("timed out after 30ms")));
    wait::until_async("nothing runs", || async { worker.is_idle() }).await;
}

async fn a_result_that_is_too_large_costs_only_its_job(f: Fixture) {
    const MOST: usize = 64 << 20;
    let handler = async |job: Job| match job.name() {
        "fits" => Ok("x".repeat(MOST - 2)),
        "large" => Ok("x".repeat(MOST)),
        "wordy" => Err(JobError::fail("x".repeat(MOST))),
        _ => Ok("small".to_owned()),
    };
    let mut ids = Vec::new();
    for name in ["large", "wordy", "fits", "small"] {
        ids.push(f.queue.add(name, &()).attempts(2).remove_on_complete(lariat::Keep::ALL).await.unwrap());
    }
    let worker = f.worker().concurrency(4).start(handler).unwrap();
    let large = f.until(&ids[0], JobState::Failed).await.record;
    assert_eq!(large.attempts_made, 2);
    let reason = large.failed_reason.unwrap();
    assert!(reason.contains("67108866 bytes") && reason.contains("at most 67108864"), "{reason}");
    let wordy = f.until(&ids[1], JobState::Failed).await.record.failed_reason.unwrap();
    assert!(wordy.len() < 2 << 20 && wordy.ends_with("(67108864 bytes, cut off here)"), "{} bytes", wordy.len());
    f.until(&ids[3], JobState::Completed).await;
    let fits = f.until(&ids[2], JobState::Completed).await.record;
    assert_eq!((fits.return_value.unwrap().get().len(), fits.attempts_made), (MOST, 1));
    assert_eq!(worker.close(SECOND).await.unsettled, 0);
}

async fn a_handler_that_blocks_its_thread_is_left_behind_by_a_close_and_its_job_found(f: Fixture) {
    let release = Arc::new(AtomicBool::new(false));
    let (released, runs) = (Arc::clone(&release), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&runs);
    let handler = move |_: Job| {
        let (released, first) = (Arc::clone(&released), counted.fetch_add(1, Ordering::Relaxed) == 0);
        async move {
            if first {
                wait::until("the test lets it go", || released.load(Ordering::Relaxed));
            }
            Ok::<_, JobError>(if first { "the blocked one" } else { "the second" })
        }
    };
    let id = f.queue.add("x", &()).await.unwrap();
    let short = |f: &Fixture| impatient(f).concurrency(2).lock_duration(3 * SECOND).stalled_interval(SECOND / 10);
    let blocked = short(&f).start(handler.clone()).unwrap();
    wait::until_async("it blocks", || async { runs.load(Ordering::Relaxed) == 1 }).await;
    let closed = blocked.close(Duration::ZERO).await;
    assert_eq!((closed.still_running, closed.handed_back), (1, 0));
    let second = short(&f).start(handler).unwrap();
    let job = f.until(&id, JobState::Completed).await.record;
    assert_eq!((job.return_value.unwrap().get(), job.stalled_counter), ("\"the second\"", 1));
    release.store(true, Ordering::Relaxed);
    second.close(SECOND).await;
    assert_eq!(f.job(&id).await.record.attempts_made, 1, "what the blocked one says does not count");
}

async fn a_handler_whose_destructor_panics_takes_nothing_with_it(f: Fixture) {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    let handler = async |job: Job| {
        if job.name() == "bomb" {
            let _bomb = Bomb;
            std::future::pending::<()>().await;
        }
        Ok::<_, JobError>(())
    };
    let bomb = f.queue.add("bomb", &()).timeout(Duration::from_millis(30)).await.unwrap();
    let next = f.queue.add("next", &()).await.unwrap();
    let worker = impatient(&f).start(handler).unwrap();
    f.until(&next, JobState::Completed).await;
    f.until(&bomb, JobState::Failed).await;
    assert_eq!(worker.close(SECOND).await.still_running, 0);
}

async fn what_a_handler_spawns_may_outlive_it_and_can_no_longer_report(f: Fixture) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let (tell, go) = (Mutex::new(Some(tell)), Arc::new(tokio::sync::Notify::new()));
    let wait = Arc::clone(&go);
    let handler = move |job: Job| {
        let (tell, wait) = (tell.lock().unwrap().take(), Arc::clone(&wait));
        async move {
            let beside = job.clone();
            tokio::spawn(async move {
                wait.notified().await;
                let refused = beside.progress(&99).await.unwrap_err().to_string();
                tell.unwrap().send((refused, beside.cancel_reason(), beside.lock_left())).unwrap();
            });
            tokio::spawn(async { panic!("a task of the handler's, and its own affair") });
            Ok::<_, JobError>("done")
        }
    };
    let id = f.queue.add("x", &()).await.unwrap();
    let worker = f.worker().start(handler).unwrap();
    let mut events = worker.events();
    event(&mut events, |e| matches!(e, WorkerEvent::Completed { .. }).then_some(())).await;
    go.notify_one();
    let (refused, cancelled, left) = tokio::time::timeout(wait::DEADLINE, told).await.unwrap().unwrap();
    assert!(refused.contains("has ended"), "{refused}");
    assert_eq!((cancelled, left), (None, Duration::ZERO));
    assert!(f.job(&id).await.record.progress.is_none());
    worker.close(SECOND).await;
}

/// On Redis only: users and their rights. Those of a file: `tests/crash/faults`.
#[tokio::test]
async fn a_user_who_may_not_write_our_own_keys_is_told_what_is_missing() {
    let f = Fixture::on_redis();
    f.redis::<()>("ACL SETUSER narrow on >secret ~bull:* &* +@all");
    let store = Store::open(&f.server.url().replace("redis://", "redis://narrow:secret@")).unwrap();
    let worker = Worker::builder(&store, QUEUE).start(async |_| Ok::<_, JobError>(())).unwrap();
    let closed = tokio::time::timeout(wait::DEADLINE, worker.stopped()).await.unwrap();
    let why = closed.why.unwrap().to_string();
    assert!(why.contains("lariat:*") && !why.contains("secret"), "{why}");
    assert!(!worker.health().is_healthy());
    let manual = Manual::builder(&store, QUEUE).start().unwrap();
    let error = manual.take().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Denied && error.to_string().contains("lariat:*"), "{error}");
}

/// Ten workers, each started and stopped again and again, with and without grace, while 1,000 jobs are worked.
async fn workers_that_come_and_go_run_each_job_once(f: Fixture) {
    const JOBS: u64 = 1000;
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let ended: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let over = Arc::new(AtomicBool::new(false));
    let mut crews = Vec::new();
    for n in 0..10 {
        let (store, ended, over) = (f.store.clone(), Arc::clone(&ended), Arc::clone(&over));
        let mut rng = fastrand::Rng::with_seed(seed.wrapping_add(n));
        crews.push(tokio::spawn(async move {
            let mut lives = 0;
            while !over.load(Ordering::Relaxed) {
                let ended = Arc::clone(&ended);
                let handler = move |job: Job| {
                    let ended = Arc::clone(&ended);
                    async move {
                        // sleep: the handler's work, which a close may cut short
                        tokio::time::sleep(Duration::from_micros(job.data::<u64>()? * 97 % 7000)).await;
                        *ended.lock().unwrap().entry(job.id().to_string()).or_default() += 1;
                        Ok::<_, JobError>(())
                    }
                };
                let grace = Duration::from_millis(rng.u64(0..4));
                let worker = Worker::builder(&store, QUEUE).concurrency(rng.usize(1..6)).cancel_grace(grace);
                let worker = worker.start(handler).unwrap();
                // sleep: how long a worker lives is left to chance
                tokio::time::sleep(Duration::from_millis(rng.u64(0..60))).await;
                if rng.bool() {
                    let closed = worker.close(Duration::from_millis(rng.u64(0..8))).await;
                    assert_eq!((closed.still_running, closed.unsettled, closed.why), (0, 0, None));
                } else {
                    drop(worker);
                }
                lives += 1;
            }
            lives
        }));
    }
    let queue = Queue::new(&f.store, QUEUE).unwrap();
    let ids = queue.add_bulk((0..JOBS).map(|n| NewJob::new("n", &n))).await.unwrap();
    let all_done = || async { f.queue.overview().await.unwrap().counts.completed == JOBS };
    wait::until_async("all jobs are done", all_done).await;
    over.store(true, Ordering::Relaxed);
    let mut lives = 0;
    for crew in crews {
        lives += crew.await.unwrap();
    }
    assert!(lives > 30, "workers came and went: {lives}");
    let ended = ended.lock().unwrap().clone();
    let mut starts = 0;
    for id in &ids {
        let record = f.job(id).await.record;
        assert_eq!((ended.get(id.as_str()), record.attempts_made), (Some(&1), 1), "job {id}");
        assert_eq!(record.stalled_counter, 0, "job {id} was handed back, not found");
        starts += record.attempts_started;
    }
    assert!(u64::from(starts) > JOBS, "some were handed back and taken again: {starts} starts");
    let counts = f.queue.overview().await.unwrap().counts;
    assert_eq!((counts.active, counts.waiting, counts.failed), (0, 0, 0));
}
