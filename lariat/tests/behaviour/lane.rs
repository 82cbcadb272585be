//! Adds whose callers drop them, leave them unpolled, or take their runtime away.

use std::collections::BTreeSet;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use interop::proxy::{self, Fault, Proxy};
use interop::wait;
use lariat::{Error, JobId, JobState, Queue, Store};

use crate::fixture::{Fixture, QUEUE, SECOND, on_both_stores};

on_both_stores! {
    a_dropped_add_goes_on_by_itself,
    those_behind_a_dropped_add_are_answered,
    those_behind_an_add_that_nobody_polls_are_answered,
    an_add_answered_late_leaves_the_next_drive_alone,
    a_lane_whose_runtime_is_gone_is_driven_on_another,
    those_that_come_while_an_add_is_polled_for_the_last_time_are_answered on 2 threads,
    adds_cancelled_at_any_moment_lose_no_other_and_none_is_added_twice on 3 threads,
}

type Add<'a> = Pin<Box<dyn Future<Output = Result<JobId, Error>> + Send + 'a>>;

/// An add that has been polled once, and is not answered yet.
async fn begun<'a>(queue: &'a Queue, name: &str) -> Add<'a> {
    let mut add = queue.add(name, &1).into_future();
    poll_fn(|context| {
        assert!(add.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    add
}

/// An add that is forgotten fails the test rather than hanging it.
async fn in_time<F: IntoFuture>(add: F) -> F::Output {
    tokio::time::timeout(wait::DEADLINE, add.into_future()).await.expect("no add is forgotten")
}

async fn waiting(f: &Fixture) -> u64 {
    f.queue.overview().await.unwrap().counts.waiting
}

/// A patient queue whose store has answered once.
async fn warm(f: &Fixture) -> Queue {
    let queue = f.queue.clone().with_patience(60 * SECOND);
    queue.add("warm", &0).await.unwrap();
    queue
}

async fn a_dropped_add_goes_on_by_itself(f: Fixture) {
    // No connection stands yet: after one poll nothing has been sent.
    drop(begun(&f.queue, "dropped").await);
    let other = Queue::new(&f.store, QUEUE).unwrap();
    wait::until_async("it is added", || async { other.overview().await.unwrap().counts.waiting == 1 }).await;
}

/// On Redis only: nothing is lost on the way to a file. On both: `store/conformance/faults`.
#[tokio::test]
async fn a_dropped_add_is_repeated_when_its_reply_is_lost() {
    let f = Fixture::on_redis();
    let proxy = Proxy::start(f.server.port());
    let queue = Queue::new(&Store::open(&proxy.url()).unwrap(), QUEUE).unwrap().with_patience(60 * SECOND);
    queue.add("warm", &0).await.unwrap();
    // Sent, and not seen by the server; only a repeat adds it.
    let lost = proxy.on_next(proxy::holding(b"evalsha"), Fault::LoseRequest);
    let add = begun(&queue, "dropped").await;
    lost.wait_for_async(1).await;
    drop(add);
    wait::until_async("it is added", || async { waiting(&f).await == 2 }).await;
}

async fn those_behind_a_dropped_add_are_answered(f: Fixture) {
    let queue = warm(&f).await;
    f.freeze();
    let first = begun(&queue, "first").await;
    let (second, third) = (begun(&queue, "second").await, begun(&queue, "third").await);
    drop(first);
    drop(second);
    f.thaw();
    in_time(third).await.unwrap();
    assert_eq!(waiting(&f).await, 4);
}

async fn those_behind_an_add_that_nobody_polls_are_answered(f: Fixture) {
    let queue = warm(&f).await;
    f.freeze();
    let first = begun(&queue, "first").await;
    let second = begun(&queue, "second").await;
    f.thaw();
    in_time(second).await.unwrap();
    in_time(queue.add("third", &1)).await.unwrap();
    assert_eq!(waiting(&f).await, 4);
    in_time(first).await.unwrap();
}

/// The same where the second add comes while the first is being polled.
#[allow(clippy::async_yields_async, reason = "the add must live on, and not be polled again")]
async fn those_that_come_while_an_add_is_polled_for_the_last_time_are_answered(f: Fixture) {
    f.queue.add("warm", &0).await.unwrap();
    for _ in 0..1000 {
        // On threads of their own: a worker of the runtime that blocks keeps to itself what it was to run next.
        let start = Arc::new(std::sync::Barrier::new(2));
        let (queue, at) = (f.queue.clone(), Arc::clone(&start));
        let first = tokio::task::spawn_blocking(move || {
            let mut add = Box::pin(async move { queue.add("first", &1).await });
            at.wait();
            let _ = add.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            add
        });
        let (queue, runtime) = (f.queue.clone(), tokio::runtime::Handle::current());
        let second = tokio::task::spawn_blocking(move || {
            start.wait();
            runtime.block_on(in_time(queue.add("second", &1)))
        });
        let unpolled = first.await.unwrap();
        second.await.unwrap().unwrap();
        drop(unpolled);
    }
}

async fn an_add_answered_late_leaves_the_next_drive_alone(f: Fixture) {
    let queue = warm(&f).await;
    f.freeze();
    let first = begun(&queue, "first").await;
    f.thaw();
    // Takes the drive over, and ends it.
    in_time(queue.add("second", &1)).await.unwrap();
    f.freeze();
    let third = begun(&queue, "third").await;
    // Answered long since; the drive that it finds is not its own.
    in_time(first).await.unwrap();
    f.thaw();
    in_time(third).await.unwrap();
    assert_eq!(waiting(&f).await, 4);
}

async fn adds_cancelled_at_any_moment_lose_no_other_and_none_is_added_twice(f: Fixture) {
    let answered: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let tasks = (0..6u64).map(|task| {
        let (queue, answered) = (f.queue.clone().with_patience(60 * SECOND), Arc::clone(&answered));
        tokio::spawn(async move {
            for n in 0..200u64 {
                let add = queue.add("n", &(task, n)).into_future();
                // Every third is dropped at some moment of its life, unless it was quicker.
                let id = if n % 3 == 0 {
                    // sleep: the moment
                    match tokio::time::timeout(Duration::from_micros(n * 37 % 500), add).await {
                        Ok(id) => id.unwrap(),
                        Err(_) => continue,
                    }
                } else {
                    add.await.unwrap()
                };
                assert!(answered.lock().unwrap().insert(id.to_string()), "{id} was answered twice");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        in_time(task).await.unwrap();
    }
    wait::until_async("the lane is idle", || async {
        let before = waiting(&f).await;
        f.queue.add("last", &1).await.unwrap();
        waiting(&f).await == before + 1
    })
    .await;
    let stored = f.queue.jobs(JobState::Waiting, 0, 10_000).await.unwrap().jobs;
    let kept: BTreeSet<String> = stored.iter().map(|job| job.id.to_string()).collect();
    assert_eq!(kept.len(), stored.len(), "no id twice");
    assert!(answered.lock().unwrap().is_subset(&kept), "every answered job is kept");
    let mut payloads = BTreeSet::new();
    for job in &stored {
        let payload = job.data.get();
        assert!(job.name == "last" || payloads.insert(payload), "{payload} was added twice");
    }
}

async fn a_lane_whose_runtime_is_gone_is_driven_on_another(f: Fixture) {
    let runs = std::thread::spawn(|| on_two_runtimes(f));
    wait::until_async("the second add is answered", || async { runs.is_finished() }).await;
    runs.join().unwrap();
}

fn on_two_runtimes(mut f: Fixture) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    f.go_away();
    let add = first.block_on(begun(&f.queue, "first"));
    drop(first);
    drop(add);
    f.come_back();
    let queue = f.queue.clone().with_patience(60 * SECOND);
    second.block_on(queue.add("second", &1).into_future()).unwrap();
    let jobs = second.block_on(f.queue.jobs(JobState::Waiting, 0, 9)).unwrap().jobs;
    let count = |name: &str| jobs.iter().filter(|job| job.name == name).count();
    // What has reached the store before its runtime was gone may be carried out.
    assert!(count("second") == 1 && count("first") <= 1, "{jobs:?}");
}
