//! Waiting for a job's end.

use std::time::Duration;

use interop::proxy::{self, Fault, Proxy};
use interop::wait;
use lariat::{Finished, Job, JobError, JobId, JobState, Keep, Manual, NewJob, Queue, Store};

use crate::fixture::{Fixture, Gate, QUEUE, SECOND, on_both_stores};

on_both_stores! {
    a_job_that_has_ended_is_answered_for_at_once_and_one_that_is_not_there_too,
    the_time_is_over_when_it_is_and_the_job_goes_on,
    an_end_is_told_as_it_comes_with_its_result_or_reason,
    a_job_that_is_not_kept_and_one_that_is_deleted_are_told_by_their_events,
    many_who_wait_are_all_told,
    waiting_outlives_a_store_that_goes_away,
    a_job_that_ends_while_its_event_is_nowhere_is_found_by_looking_again,
}

fn completed(finished: &Finished) -> &str {
    finished.value().unwrap_or_else(|| panic!("{finished:?}")).get()
}

/// Waits until the queue's events are read for those who wait for its jobs: how a job ended that is not kept, only its
/// event tells.
async fn until_read(f: &Fixture) {
    let manual = Manual::builder(&f.store, QUEUE).start().unwrap();
    let told = async || {
        let probe = f.queue.add("probe", &()).lifo().remove_on_complete(Keep::NONE).await.unwrap();
        let (finished, ()) = tokio::join!(f.queue.wait_for(&probe, None), async {
            let taken = manual.take().await.unwrap().expect("it goes before the others");
            assert_eq!(taken.job().id(), &probe);
            taken.complete(&()).await.unwrap();
        });
        finished.unwrap().value().is_some()
    };
    wait::until_async("the events are read", told).await;
}

/// Whether a connection reads the queue's events.
fn reads(f: &Fixture) -> bool {
    f.redis::<String>("CLIENT LIST").contains("cmd=xread")
}

async fn an_end_is_told_as_it_comes_with_its_result_or_reason(f: Fixture) {
    let gate = Gate::new();
    let handler = {
        let run = gate.handler();
        move |job: Job| {
            let bad = job.name() == "bad";
            let run = run(job);
            async move { if bad { Err(JobError::fail("no such user")) } else { run.await } }
        }
    };
    let _worker = f.worker().start(handler).unwrap();
    let good = f.queue.add("good", &()).await.unwrap();
    gate.started().await;
    let (finished, ()) = tokio::join!(f.queue.wait_for(&good, None), async {
        until_read(&f).await;
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

async fn a_job_that_is_not_kept_and_one_that_is_deleted_are_told_by_their_events(f: Fixture) {
    let brief = f.queue.add("brief", &()).remove_on_complete(Keep::NONE).await.unwrap();
    let deleted = f.queue.add("deleted", &()).delay(3600 * SECOND).await.unwrap();
    let (first, second, ()) = tokio::join!(f.queue.wait_for(&brief, None), f.queue.wait_for(&deleted, None), async {
        until_read(&f).await;
        f.queue.edit(&deleted).remove().await.unwrap();
        let worker = f.worker().start(async |_| Ok::<_, JobError>("brief")).unwrap();
        wait::until_async("it is gone", || async { f.state(&brief).await.is_none() }).await;
        worker.close(SECOND).await;
    });
    assert_eq!(completed(&first.unwrap()), "\"brief\"", "its record was never there to be read");
    assert!(matches!(second.unwrap(), Finished::Removed));
}

async fn many_who_wait_are_all_told(f: Fixture) {
    let ids = f.queue.add_bulk((0..100).map(|n| NewJob::new("n", &n))).await.unwrap();
    let mut waits = Vec::new();
    for id in ids.iter().chain(&ids) {
        let (queue, id) = (f.queue.clone(), id.clone());
        waits.push(tokio::spawn(async move { queue.wait_for(&id, None).await.unwrap() }));
    }
    until_read(&f).await;
    let _worker = f.worker().concurrency(10).start(async |job: Job| Ok::<_, JobError>(job.data::<u32>()?)).unwrap();
    for (n, wait) in waits.into_iter().enumerate() {
        assert_eq!(completed(&wait.await.unwrap()), (n % 100).to_string());
    }
}

/// On Redis only: a file is not read by a connection that stays.
#[tokio::test]
async fn many_who_wait_share_one_connection() {
    let f = Fixture::on_redis();
    let ids = f.queue.add_bulk((0..20).map(|n| NewJob::new("n", &n))).await.unwrap();
    for id in ids {
        let queue = f.queue.clone();
        tokio::spawn(async move { queue.wait_for(&id, None).await });
    }
    until_read(&f).await;
    assert_eq!(f.redis::<String>("CLIENT LIST").matches("cmd=xread").count(), 1);
}

/// On Redis only: a file has no connection that could be lost.
#[tokio::test]
async fn an_end_is_not_lost_with_the_connection_that_would_have_told_it() {
    let f = Fixture::on_redis();
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
    let f = Fixture::on_redis();
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

/// On Redis only: an answer of a file cannot be held up on its way.
#[tokio::test]
async fn an_end_between_the_look_and_its_answer_is_heard() {
    assert_eq!(completed(&ends_during(Fault::HoldReply).await), "\"in between\"");
}

/// On Redis only: an answer of a file cannot be held up on its way.
#[tokio::test]
async fn an_end_just_before_the_look_is_heard() {
    assert_eq!(completed(&ends_during(Fault::HoldRequest).await), "\"in between\"");
}

/// On Redis only: an answer of a file cannot be held up on its way.
#[tokio::test]
async fn nobody_looks_before_the_subscription_stands() {
    let f = Fixture::on_redis();
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

async fn waiting_outlives_a_store_that_goes_away(mut f: Fixture) {
    let id = f.queue.add("x", &()).await.unwrap();
    let waiting = tokio::spawn({
        let (queue, id) = (f.queue.clone(), id.clone());
        async move { queue.wait_for(&id, None).await }
    });
    until_read(&f).await;
    f.save();
    f.go_away();
    f.come_back();
    let _worker = f.worker().start(async |_| Ok::<_, JobError>("after all")).unwrap();
    assert_eq!(completed(&waiting.await.unwrap().unwrap()), "\"after all\"");
}

/// On Redis only: a file can be read while somebody else writes.
#[tokio::test]
async fn a_store_that_is_away_when_the_time_is_over_is_an_error() {
    let mut f = Fixture::on_redis();
    let id = f.queue.add("x", &()).await.unwrap();
    f.server.kill();
    let error = f.queue.wait_for(&id, Duration::from_millis(300)).await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert_eq!((error.queue(), error.job()), (Some(QUEUE), Some("1")));
}

async fn a_job_that_ends_while_its_event_is_nowhere_is_found_by_looking_again(f: Fixture) {
    let id = f.queue.add("x", &()).await.unwrap();
    let (finished, ()) = tokio::join!(f.queue.wait_for(&id, wait::DEADLINE), async {
        until_read(&f).await;
        // What an administrator may do, and BullMQ's own clean-up.
        f.erase("1");
    });
    assert!(matches!(finished.unwrap(), Finished::Removed));
}
