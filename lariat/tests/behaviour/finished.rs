//! Waiting for a job's end.

use std::time::Duration;

use interop::proxy::{self, Fault, Proxy};
use interop::wait;
use lariat::{Finished, Job, JobError, JobId, JobState, Keep, NewJob, Queue, Store};

use crate::fixture::{Fixture, Gate, QUEUE, SECOND, on_both_stores};

on_both_stores! {
    a_job_that_has_ended_is_answered_for_at_once_and_one_that_is_not_there_too,
    the_time_is_over_when_it_is_and_the_job_goes_on,
}

fn completed(finished: &Finished) -> &str {
    finished.value().unwrap_or_else(|| panic!("{finished:?}")).get()
}

/// Whether somebody reads the queue's events.
fn reads(f: &Fixture) -> bool {
    f.redis::<String>("CLIENT LIST").contains("cmd=xread")
}

#[tokio::test]
async fn an_end_is_told_as_it_comes_with_its_result_or_reason() {
    let f = Fixture::start();
    let gate = Gate::new();
    let handler = {
        let run = gate.handler();
        move |job: Job| {
            let bad = job.name() == "bad";
            let run = run(job);
            async move { if bad { Err(JobError::fail("no such user")) } else { run.await } }
        }
    };
    let _worker = f.worker().concurrency(2).start(handler).unwrap();
    let good = f.queue.add("good", &()).await.unwrap();
    gate.started().await;
    let (finished, ()) = tokio::join!(f.queue.wait_for(&good, None), async {
        wait::until_async("somebody reads", || async { reads(&f) }).await;
        gate.open();
    });
    assert_eq!(completed(&finished.unwrap()), "\"good done\"");
    let bad = f.queue.add("bad", &()).attempts(3).await.unwrap();
    let finished = f.queue.wait_for(&bad, 60 * SECOND).await.unwrap();
    assert!(matches!(&finished, Finished::Failed(reason) if reason == "no such user"), "{finished:?}");
}

async fn a_job_that_has_ended_is_answered_for_at_once_and_one_that_is_not_there_too(f: Fixture) {
    let _worker = f.worker().start(async |_| Ok::<_, JobError>(7)).unwrap();
    let id = f.queue.add("x", &()).await.unwrap();
    f.until(&id, JobState::Completed).await;
    assert_eq!(completed(&f.queue.wait_for(&id, Duration::ZERO).await.unwrap()), "7");
    let missing = JobId::existing("nobody").unwrap();
    assert!(matches!(f.queue.wait_for(&missing, None).await.unwrap(), Finished::Removed));
}

async fn the_time_is_over_when_it_is_and_the_job_goes_on(f: Fixture) {
    let id = f.queue.add("x", &()).await.unwrap();
    let finished = f.queue.wait_for(&id, Duration::from_millis(50)).await.unwrap();
    assert!(matches!(finished, Finished::TimedOut), "{finished:?}");
    let _worker = f.worker().start(async |_| Ok::<_, JobError>("later")).unwrap();
    assert_eq!(completed(&f.queue.wait_for(&id, None).await.unwrap()), "\"later\"");
}

#[tokio::test]
async fn a_job_that_is_not_kept_and_one_that_is_deleted_are_told_by_their_events() {
    let f = Fixture::start();
    let brief = f.queue.add("brief", &()).remove_on_complete(Keep::NONE).await.unwrap();
    let deleted = f.queue.add("deleted", &()).delay(3600 * SECOND).await.unwrap();
    let (first, second, ()) = tokio::join!(f.queue.wait_for(&brief, None), f.queue.wait_for(&deleted, None), async {
        wait::until_async("somebody reads", || async { reads(&f) }).await;
        f.queue.edit(&deleted).remove().await.unwrap();
        let worker = f.worker().start(async |_| Ok::<_, JobError>("brief")).unwrap();
        wait::until_async("it is gone", || async { f.state(&brief).await.is_none() }).await;
        worker.close(SECOND).await;
    });
    assert_eq!(completed(&first.unwrap()), "\"brief\"", "its record was never there to be read");
    assert!(matches!(second.unwrap(), Finished::Removed));
}

#[tokio::test]
async fn many_who_wait_share_one_reader() {
    let f = Fixture::start();
    let ids = f.queue.add_bulk((0..100).map(|n| NewJob::new("n", &n))).await.unwrap();
    let mut waits = Vec::new();
    for id in ids.iter().chain(&ids) {
        let (queue, id) = (f.queue.clone(), id.clone());
        waits.push(tokio::spawn(async move { queue.wait_for(&id, None).await.unwrap() }));
    }
    wait::until_async("somebody reads", || async { reads(&f) }).await;
    assert_eq!(f.redis::<String>("CLIENT LIST").matches("cmd=xread").count(), 1);
    let _worker = f.worker().concurrency(10).start(async |job: Job| Ok::<_, JobError>(job.data::<u32>()?)).unwrap();
    for (n, wait) in waits.into_iter().enumerate() {
        assert_eq!(completed(&wait.await.unwrap()), (n % 100).to_string());
    }
}

#[tokio::test]
async fn an_end_is_not_lost_with_the_connection_that_would_have_told_it() {
    let f = Fixture::start();
    let proxy = Proxy::start(f.server.port());
    let queue = Queue::new(&Store::open(&proxy.url()).unwrap(), QUEUE).unwrap();
    let gate = Gate::new();
    let _worker = f.worker().start(gate.handler()).unwrap();
    let id = queue.add("x", &()).await.unwrap();
    gate.started().await;
    let lost = proxy.on_next(proxy::holding(b"xread"), Fault::LoseReply);
    let (finished, ()) = tokio::join!(queue.wait_for(&id, None), async {
        wait::until_async("somebody reads", || async { reads(&f) }).await;
        // The server tells the reader of it, and its words are lost.
        gate.open();
        lost.wait_for_async(1).await;
    });
    assert_eq!(completed(&finished.unwrap()), "\"x done\"");
}

/// A job that is not kept ends while its waiter's look meets this fault, which is over once it has ended.
async fn ends_during(fault: Fault) -> Finished {
    let f = Fixture::start();
    let proxy = Proxy::start(f.server.port());
    let queue = Queue::new(&Store::open(&proxy.url()).unwrap(), QUEUE).unwrap();
    let id = queue.add("x", &()).remove_on_complete(Keep::NONE).await.unwrap();
    queue.job(&id).await.unwrap();
    let held = proxy.on_next(proxy::holding(b"evalsha"), fault);
    let (finished, ()) = tokio::join!(queue.wait_for(&id, None), async {
        held.wait_for_async(1).await;
        let _worker = f.worker().start(async |_| Ok::<_, JobError>("in between")).unwrap();
        wait::until_async("it is gone", || async { f.state(&id).await.is_none() }).await;
        proxy.release();
    });
    finished.unwrap()
}

#[tokio::test]
async fn an_end_between_the_look_and_its_answer_is_heard() {
    assert_eq!(completed(&ends_during(Fault::HoldReply).await), "\"in between\"");
}

#[tokio::test]
async fn an_end_just_before_the_look_is_heard() {
    assert_eq!(completed(&ends_during(Fault::HoldRequest).await), "\"in between\"");
}

#[tokio::test]
async fn nobody_looks_before_the_subscription_stands() {
    let f = Fixture::start();
    let proxy = Proxy::start(f.server.port());
    let queue = Queue::new(&Store::open(&proxy.url()).unwrap(), QUEUE).unwrap();
    let id = queue.add("x", &()).await.unwrap();
    let subscribing = proxy.on_next(proxy::holding(b"xrevrange"), Fault::HoldReply);
    let looks = proxy.on_each(proxy::holding(b"evalsha"), Fault::DelayReply(Duration::ZERO));
    let (finished, ()) = tokio::join!(queue.wait_for(&id, None), async {
        subscribing.wait_for_async(1).await;
        // sleep: a look that comes too early would have come by then
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(looks.count(), 0, "what ends now would be missed by both");
        proxy.release();
        looks.wait_for_async(1).await;
        let worker = f.worker().start(async |_| Ok::<_, JobError>(1)).unwrap();
        f.until(&id, JobState::Completed).await;
        worker.close(SECOND).await;
    });
    assert_eq!(completed(&finished.unwrap()), "1");
}

#[tokio::test]
async fn waiting_outlives_the_server() {
    let mut f = Fixture::start_kept();
    let id = f.queue.add("x", &()).await.unwrap();
    let waiting = tokio::spawn({
        let (queue, id) = (f.queue.clone(), id.clone());
        async move { queue.wait_for(&id, None).await }
    });
    wait::until_async("somebody reads", || async { reads(&f) }).await;
    f.server.restart();
    let _worker = f.worker().start(async |_| Ok::<_, JobError>("after all")).unwrap();
    assert_eq!(completed(&waiting.await.unwrap().unwrap()), "\"after all\"");
}

#[tokio::test]
async fn a_store_that_is_away_when_the_time_is_over_is_an_error() {
    let mut f = Fixture::start();
    let id = f.queue.add("x", &()).await.unwrap();
    f.server.kill();
    let error = f.queue.wait_for(&id, Duration::from_millis(300)).await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert_eq!((error.queue(), error.job()), (Some(QUEUE), Some("1")));
}

#[tokio::test]
async fn a_job_that_ends_while_its_event_is_nowhere_is_found_by_looking_again() {
    let f = Fixture::start();
    let id = f.queue.add("x", &()).await.unwrap();
    let (finished, ()) = tokio::join!(f.queue.wait_for(&id, None), async {
        wait::until_async("somebody reads", || async { reads(&f) }).await;
        // What an administrator may do, and BullMQ's own clean-up: no event says so.
        f.redis::<()>("DEL bull:mail:1");
        f.redis::<()>("LREM bull:mail:wait 1 1");
    });
    assert!(matches!(finished.unwrap(), Finished::Removed));
}
