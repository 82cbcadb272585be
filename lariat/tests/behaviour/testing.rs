//! What `lariat::testing` gives to those who test their handlers. In memory only: that is where a `TestStore` is.

use std::sync::Arc;
use std::time::Duration;

use interop::wait;
use lariat::testing::{Drained, RunEnd, TestStore};
use lariat::{Backoff, Job, JobError, JobState, Keep, NewJob, NextAttempt, Outcome, Queue, RateLimit, Router, Worker};
use serde_json::json;

use crate::fixture::SECOND;

const HOUR: Duration = Duration::from_secs(3600);

fn mail(store: &TestStore) -> Queue {
    Queue::new(store, "mail").unwrap()
}

async fn echo(job: Job) -> Result<serde_json::Value, JobError> {
    Ok(job.data()?)
}

fn names(drained: &Drained) -> Vec<&str> {
    drained.runs.iter().map(|run| run.name.as_str()).collect()
}

#[tokio::test]
async fn what_is_ready_runs_in_the_order_of_a_single_worker() {
    let store = TestStore::new();
    let queue = mail(&store);
    assert!(store.drain("mail", echo).await.unwrap().runs.is_empty());
    queue.add("second", &2).await.unwrap();
    queue.add("later", &4).delay(HOUR).await.unwrap();
    queue.add("third", &3).priority(7).await.unwrap();
    queue.add("first", &1).lifo().await.unwrap();
    let drained = store.drain("mail", echo).await.unwrap();
    assert_eq!(names(&drained), ["first", "second", "third"]);
    let ends: Vec<_> = drained.runs.iter().map(|run| run.end.clone()).collect();
    assert_eq!(ends, [1, 2, 3].map(|n| RunEnd::Completed(json!(n))));
    let counts = queue.overview().await.unwrap().counts;
    assert_eq!((counts.completed, counts.delayed), (3, 1));
}

#[tokio::test]
async fn jobs_that_handlers_add_and_attempts_without_a_wait_run_too() {
    let store = TestStore::new();
    let queue = mail(&store);
    let id = queue.add("parent", &()).attempts(3).await.unwrap();
    let router = Router::new().with_state(queue).on("child", echo).on("parent", async |job: Job, queue: Queue| {
        if job.attempt() < 3 {
            return Err("too busy");
        }
        queue.add("child", "of 1").await.map_err(|_| "not added")?;
        Ok(())
    });
    let drained = store.drain("mail", router).await.unwrap();
    assert_eq!(names(&drained), ["parent", "parent", "parent", "child"]);
    let attempts: Vec<_> = drained.of(&id).map(|run| run.attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
    let again = RunEnd::Retrying { reason: "too busy".into(), delay: Duration::ZERO };
    assert_eq!(drained.runs[0].end, again);
    assert_eq!(drained.jobs().len(), 2);
    drained.assert_all_completed();
}

#[tokio::test]
async fn time_passes_when_the_test_says_so_and_to_the_millisecond() {
    let store = TestStore::new();
    let queue = mail(&store);
    let start = store.now();
    let id = queue.add("x", &()).delay(HOUR).attempts(3).backoff(Backoff::exponential(SECOND)).await.unwrap();
    let handler = async |job: Job| if job.attempt() < 3 { Err("no") } else { Ok("yes") };
    for (wait, attempt) in [(HOUR, 1), (SECOND, 2), (2 * SECOND, 3)] {
        store.advance(wait.saturating_sub(Duration::from_millis(1)));
        assert!(store.drain("mail", handler).await.unwrap().runs.is_empty(), "attempt {attempt} came too early");
        store.advance(Duration::from_millis(1));
        let drained = store.drain("mail", handler).await.unwrap();
        assert_eq!(drained.runs.iter().map(|run| run.attempt).collect::<Vec<_>>(), [attempt]);
    }
    let record = queue.job(&id).await.unwrap().unwrap().record;
    let took = |at: Option<lariat::Timestamp>| at.unwrap().since(start);
    assert_eq!((record.timestamp, took(record.processed_on)), (start, HOUR + 3 * SECOND));
    assert_eq!((took(record.finished_on), store.now().since(start)), (HOUR + 3 * SECOND, HOUR + 3 * SECOND));
}

#[tokio::test]
async fn to_the_end_moves_the_clock_to_what_is_due() {
    let store = TestStore::new();
    let queue = mail(&store);
    let start = store.now();
    queue.add("late", &()).delay(48 * HOUR).await.unwrap();
    queue.add("soon", &()).delay(HOUR).await.unwrap();
    let handler = async |job: Job| {
        Ok::<_, JobError>(match (job.name(), job.starts()) {
            ("soon", 1) => Outcome::Delay(5 * HOUR),
            _ => Outcome::done(&())?,
        })
    };
    let drained = store.drain_to_end("mail", handler).await.unwrap();
    assert_eq!(names(&drained), ["soon", "soon", "late"]);
    assert_eq!(drained.runs[0].end, RunEnd::Delayed(5 * HOUR));
    assert_eq!(store.now().since(start), 48 * HOUR);
}

#[tokio::test]
async fn a_rate_limit_is_not_waited_for_and_a_paused_queue_stays_so() {
    let store = TestStore::new();
    let queue = mail(&store);
    queue.set_global_rate_limit(Some(RateLimit { max: 1, duration: HOUR })).await.unwrap();
    queue.add_bulk((0..3).map(|n| NewJob::new("limited", &n))).await.unwrap();
    let start = store.now();
    assert_eq!(store.drain("mail", echo).await.unwrap().runs.len(), 3);
    assert_eq!(store.now(), start);
    queue.pause().await.unwrap();
    queue.add("x", &()).await.unwrap();
    assert!(store.drain_to_end("mail", echo).await.unwrap().runs.is_empty(), "it is paused");
}

#[tokio::test]
async fn a_workers_options_hold_where_it_is_drained_as_one() {
    let store = TestStore::new();
    let queue = mail(&store);
    let backoff = Backoff::custom("linear", Duration::ZERO);
    queue.add("x", &()).attempts(9).backoff(backoff).await.unwrap();
    let worker = Worker::builder(&store, "mail")
        .timeout(Duration::from_millis(20))
        .cancel_grace(Duration::ZERO)
        .remove_on_fail(Keep::NONE)
        .backoff_strategy(|attempt| match attempt.attempts_made {
            3 => NextAttempt::Never,
            made => NextAttempt::After(HOUR * made),
        });
    let handler = async |_| std::future::pending::<Result<(), JobError>>().await;
    let drained = store.drain_to_end_as(worker.clone(), handler).await.unwrap();
    let again = |delay| RunEnd::Retrying { reason: "timed out after 20ms".into(), delay };
    let ends: Vec<_> = drained.runs.iter().map(|run| run.end.clone()).collect();
    assert_eq!(ends, [again(HOUR), again(2 * HOUR), RunEnd::Failed("timed out after 20ms".into())]);
    assert!(store.jobs("mail").await.unwrap().is_empty(), "failed jobs are not kept");
    let error = TestStore::new().drain_as(worker, handler).await.unwrap_err();
    assert!(error.is_invalid() && error.to_string().contains("another store"), "{error}");
}

#[tokio::test]
async fn what_did_not_complete_is_listed_with_its_reason() {
    let store = TestStore::new();
    let queue = mail(&store);
    queue.add_bulk(["good", "bad", "ugly"].map(|name| NewJob::new(name, &()))).await.unwrap();
    let handler = async |job: Job| match job.name() {
        "bad" => Err(JobError::fail("no address")),
        "ugly" => panic!("left is not right"),
        _ => Ok(()),
    };
    let drained = store.drain("mail", handler).await.unwrap();
    assert_eq!(
        words(std::panic::catch_unwind(|| drained.assert_all_completed().runs.len()).unwrap_err()),
        "2 of 3 jobs did not complete:\n  \
         job 2 \"bad\", attempt 1: failed: no address\n  \
         job 3 \"ugly\", attempt 1: failed: the handler panicked: left is not right"
    );
    let nothing = store.drain("mial", handler).await.unwrap();
    let panic = std::panic::catch_unwind(|| nothing.assert_all_completed().runs.len()).unwrap_err();
    assert_eq!(words(panic), "no job was ready to run");
}

#[tokio::test]
async fn a_queue_without_an_end_is_an_error_that_names_the_job() {
    let store = TestStore::new();
    mail(&store).add("poll", &()).await.unwrap();
    let error = store.drain("mail", async |_| Ok::<_, JobError>(Outcome::PutBack)).await.unwrap_err().to_string();
    assert!(error.contains("1000 runs") && error.contains("job 1 \"poll\", attempt 1: put back"), "{error}");
}

#[tokio::test]
async fn what_was_added_can_be_asserted_and_looked_at() {
    let store = TestStore::new();
    let queue = mail(&store);
    queue.add("welcome", &json!({"to": "bob", "n": 1})).await.unwrap();
    queue.add("bye", &json!({"to": "ada"})).delay(HOUR).await.unwrap();
    let found = store.assert_added("mail", "bye", &json!({"to": "ada"})).await;
    assert_eq!((found.state, found.record.options.delay), (Some(JobState::Delayed), HOUR));
    store.assert_added("mail", "welcome", &json!({"n": 1, "to": "bob"})).await;
    store.assert_not_added("mail", "goodbye").await;
    let jobs = store.jobs("mail").await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.record.name.as_str()).collect::<Vec<_>>(), ["welcome", "bye"]);

    let store = Arc::new(store);
    let line = line!() + 2;
    let missing = failing(&store, async |store| {
        store.assert_added("mail", "welcome", &json!({"to": "ada"})).await;
    });
    assert_eq!(
        missing.await,
        format!(
            "{}:{line}:15: no job \"welcome\" with the payload {{\"to\":\"ada\"}} was added to queue \"mail\", which has 2:\n  \
             job 1 \"welcome\" {{\"n\":1,\"to\":\"bob\"}}, waiting\n  \
             job 2 \"bye\" {{\"to\":\"ada\"}}, delayed by 3600s",
            file!()
        )
    );
    let elsewhere = failing(&store, async |store| {
        store.assert_added("male", "welcome", &()).await;
    });
    assert!(elsewhere.await.ends_with("added to queue \"male\", which is empty; there are jobs in: mail"));
    let unwanted = failing(&store, async |store| store.assert_not_added("mail", "bye").await).await;
    assert!(unwanted.contains("a job \"bye\" was added to queue \"mail\", which has 2:\n  job 1"), "{unwanted}");
}

#[tokio::test]
async fn a_real_worker_goes_by_the_tests_clock_too() {
    let store = TestStore::new();
    let queue = mail(&store);
    let worker = Worker::builder(&store, "mail").start(echo).unwrap();
    let (now, late) = (queue.add("x", &1).await.unwrap(), queue.add("x", &2).delay(HOUR).await.unwrap());
    queue.wait_for(&now, wait::DEADLINE).await.unwrap();
    assert_eq!(queue.job(&late).await.unwrap().unwrap().state, Some(JobState::Delayed));
    store.advance(HOUR);
    queue.wait_for(&late, wait::DEADLINE).await.unwrap();
    let record = queue.job(&late).await.unwrap().unwrap().record;
    assert_eq!(record.finished_on, Some(store.now()));
    worker.close(SECOND).await;
}

/// The words of an assertion that has to fail.
async fn failing(store: &Arc<TestStore>, assertion: impl AsyncFnOnce(&TestStore)) -> String {
    let failed = std::panic::AssertUnwindSafe(assertion(store));
    words(catching(failed).await.expect_err("it should have panicked"))
}

async fn catching<F: Future<Output = ()>>(
    future: std::panic::AssertUnwindSafe<F>,
) -> Result<(), Box<dyn std::any::Any + Send>> {
    let mut future = Box::pin(future.0);
    std::future::poll_fn(move |context| {
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(poll) => poll.map(Ok),
            Err(panic) => std::task::Poll::Ready(Err(panic)),
        }
    })
    .await
}

fn words(panic: Box<dyn std::any::Any + Send>) -> String {
    *panic.downcast::<String>().or_else(|panic| panic.downcast::<&str>().map(|s| Box::new((*s).to_owned()))).unwrap()
}
