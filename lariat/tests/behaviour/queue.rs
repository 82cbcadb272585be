//! Looking into a queue, and how it is worked.

use std::time::Duration;

use interop::wait;
use lariat::{ErrorKind, Job, JobError, JobState, Overview, Prefix, Queue, RateLimit};

use crate::fixture::{Fixture, Gate, SECOND, on_both_stores};

on_both_stores! {
    an_empty_queue_has_nothing_to_tell,
    a_pause_holds_until_it_is_lifted,
    a_wider_limit_takes_hold_at_once,
    the_rate_limit_of_the_queue_binds_its_workers,
    what_breaks_a_rule_is_not_sent,
    queues_are_listed_under_their_prefix,
    a_queue_is_forgotten_once_it_has_no_jobs,
}

async fn an_empty_queue_has_nothing_to_tell(f: Fixture) {
    assert_eq!(f.queue.overview().await.unwrap(), Overview::default());
    for state in JobState::ALL {
        let page = f.queue.jobs(state, 0, 10).await.unwrap();
        assert!(page.jobs.is_empty() && page.damaged.is_empty());
    }
    assert!(f.queue.locks(10).await.unwrap().is_empty());
    assert!(f.queue.workers().await.unwrap().is_empty());
    assert_eq!(f.queue.counts_per_priority(&[0, 1]).await.unwrap(), [0, 0]);
    let metrics = f.queue.metrics(JobState::Completed, 60).await.unwrap();
    assert_eq!((metrics.total, metrics.per_minute.len(), metrics.written), (0, 0, None));
    assert!(f.store.queues().await.unwrap().is_empty());
    assert!(f.is_untouched(), "looking writes nothing");
}

async fn a_queue_is_forgotten_once_it_has_no_jobs(f: Fixture) {
    assert!(f.queue.forget().await.unwrap(), "there is none");
    let worker = f.worker().metrics(60).start(async |_: Job| Ok::<_, JobError>(())).unwrap();
    let id = f.queue.add("n", &1).await.unwrap();
    f.until(&id, JobState::Completed).await;
    worker.close(SECOND).await;
    f.queue.pause().await.unwrap();
    assert!(!f.queue.forget().await.unwrap(), "it has a job");
    assert!(f.queue.overview().await.unwrap().paused && f.queue.job(&id).await.unwrap().is_some());
    f.queue.edit(&id).remove().await.unwrap();
    assert!(f.queue.forget().await.unwrap() && f.queue.forget().await.unwrap());
    assert_eq!(f.queue.overview().await.unwrap(), Overview::default());
    assert!(f.store.queues().await.unwrap().is_empty());
    assert_eq!(f.queue.metrics(JobState::Completed, 9).await.unwrap().total, 0);
    // It may come to be again.
    assert_eq!(f.queue.add("n", &1).await.unwrap().as_str(), "1");
    assert_eq!(f.queue.overview().await.unwrap().counts.waiting, 1);
}

async fn a_pause_holds_until_it_is_lifted(f: Fixture) {
    f.queue.pause().await.unwrap();
    let worker = f.worker().start(async |_: Job| Ok::<_, JobError>(())).unwrap();
    let id = f.queue.add("n", &1).await.unwrap();
    assert!(f.queue.overview().await.unwrap().paused);
    f.queue.pause().await.unwrap();
    f.queue.resume().await.unwrap();
    f.until(&id, JobState::Completed).await;
    assert!(!f.queue.overview().await.unwrap().paused);
    worker.close(SECOND).await;
}

/// The worker that waits for a place is woken when there is one.
async fn a_wider_limit_takes_hold_at_once(f: Fixture) {
    f.queue.set_global_concurrency(Some(1)).await.unwrap();
    let gate = Gate::new();
    let _worker = f.worker().concurrency(4).start(gate.handler()).unwrap();
    for n in 0..3 {
        f.queue.add("n", &n).await.unwrap();
    }
    gate.started().await;
    assert_eq!(f.queue.overview().await.unwrap().concurrency, Some(1));
    f.queue.set_global_concurrency(None).await.unwrap();
    gate.started().await;
    gate.started().await;
    let held = f.queue.locks(9).await.unwrap();
    assert_eq!(held.len(), 3);
    for job in &held {
        let token = job.token.as_deref().unwrap();
        assert!(token.starts_with("********") && job.left.is_some() && job.since.is_some(), "{job:?}");
    }
    gate.open();
}

async fn the_rate_limit_of_the_queue_binds_its_workers(f: Fixture) {
    let limit = RateLimit { max: 2, duration: Duration::from_secs(600) };
    f.queue.set_global_rate_limit(Some(limit)).await.unwrap();
    for n in 0..5 {
        f.queue.add("n", &n).await.unwrap();
    }
    let worker = f.worker().concurrency(4).start(async |_: Job| Ok::<_, JobError>(())).unwrap();
    let completed = async |count: u64| f.queue.overview().await.unwrap().counts.completed == count;
    wait::until_async("two have run", || completed(2)).await;
    wait::until_async("the limit is told", || async {
        let overview = f.queue.overview().await.unwrap();
        overview.rate_limit == Some(limit) && overview.limited_for.is_some_and(|left| left <= limit.duration)
    })
    .await;
    worker.close(SECOND).await;
    f.queue.forget_rate_limit().await.unwrap();
    assert_eq!(f.queue.overview().await.unwrap().limited_for, None);
    f.queue.rate_limit_for(Duration::from_secs(300)).await.unwrap();
    let left = f.queue.overview().await.unwrap().limited_for.unwrap();
    assert!(left > Duration::from_secs(100) && left <= Duration::from_secs(300), "{left:?}");
    f.queue.set_global_rate_limit(None).await.unwrap();
    f.queue.forget_rate_limit().await.unwrap();
    let _worker = f.worker().start(async |_: Job| Ok::<_, JobError>(())).unwrap();
    wait::until_async("all have run", || completed(5)).await;
}

async fn what_breaks_a_rule_is_not_sent(f: Fixture) {
    let no_starts = RateLimit { max: 0, duration: SECOND };
    let no_window = RateLimit { max: 1, duration: Duration::from_micros(10) };
    // Beyond what a store counts exactly, and beyond what a key may live.
    let too_many = RateLimit { max: (1 << 53) + 1, duration: SECOND };
    let too_long = RateLimit { max: 1, duration: Duration::MAX };
    let answers = [
        f.queue.set_global_rate_limit(Some(too_many)).await,
        f.queue.set_global_rate_limit(Some(too_long)).await,
        f.queue.set_global_concurrency(Some(0)).await,
        f.queue.set_global_rate_limit(Some(no_starts)).await,
        f.queue.set_global_rate_limit(Some(no_window)).await,
        f.queue.rate_limit_for(Duration::ZERO).await,
        f.queue.metrics(JobState::Active, 5).await.map(drop),
    ];
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!((error.kind(), error.queue()), (ErrorKind::Invalid, Some("mail")), "{error}");
    }
    assert!(f.is_untouched());
}

async fn queues_are_listed_under_their_prefix(f: Fixture) {
    f.queue.add("n", &1).await.unwrap();
    let apart = f.store.with_prefix(Prefix::new("apart").unwrap());
    Queue::new(&apart, "other").unwrap().pause().await.unwrap();
    let names =
        async |store: &lariat::Store| store.queues().await.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&f.store).await, ["mail"]);
    assert_eq!(names(&apart).await, ["other"]);
}

/// On Redis only: a file is not away, and who reads it does not wait for who writes.
#[tokio::test]
async fn a_store_that_is_away_is_an_error_of_each_look() {
    let mut f = Fixture::on_redis();
    f.server.kill();
    let errors = [
        f.queue.overview().await.map(drop).unwrap_err(),
        f.queue.jobs(JobState::Waiting, 0, 1).await.map(drop).unwrap_err(),
        f.queue.locks(1).await.map(drop).unwrap_err(),
        f.queue.workers().await.map(drop).unwrap_err(),
        f.queue.metrics(JobState::Failed, 1).await.map(drop).unwrap_err(),
        f.queue.counts_per_priority(&[1]).await.map(drop).unwrap_err(),
        f.queue.pause().await.unwrap_err(),
        f.store.queues().await.map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    }
}
