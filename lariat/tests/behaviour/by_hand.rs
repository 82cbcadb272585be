//! Taking and settling by hand.

use std::time::Duration;

use interop::proxy::{self, Fault, Proxy};
use interop::wait;
use lariat::{
    Backoff, CancelReason, ErrorKind, JobError, JobId, JobState, LossReason, Manual, ManualBuilder, NewJob,
    NextAttempt, RateLimit, Refusal, Store, TakenJob,
};

use crate::fixture::{Fixture, QUEUE, SECOND, on_both_stores};

on_both_stores! {
    a_job_is_taken_reported_on_and_completed,
    each_way_to_settle_leads_where_it_says,
    what_cannot_be_handed_in_is_an_error,
    a_held_job_keeps_its_lock_and_one_that_nobody_renews_loses_it,
    the_loss_of_a_lock_is_told_and_nothing_is_written,
    a_dropped_job_goes_back_to_the_front_unspent,
    a_paused_queue_and_a_reached_limit_hand_out_nothing,
    by_hand_and_by_worker_share_a_queue,
    settling_takes_the_next_job_when_asked_to,
    a_refused_outcome_takes_nothing_with_it,
    settling_and_taking_the_next_is_one_call,
    waiting_ends_with_a_job_a_due_time_or_the_time,
    several_who_wait_get_a_job_each,
    a_wait_that_was_given_up_takes_nothing_with_it,
    jobs_that_cannot_be_run_are_failed_on_the_way,
    a_store_that_is_away_is_an_error_and_is_found_again,
}

fn by_hand(f: &Fixture) -> ManualBuilder {
    Manual::builder(&f.store, QUEUE)
}

async fn take(manual: &Manual) -> TakenJob {
    manual.take().await.unwrap().expect("a job is ready")
}

fn lock(f: &Fixture, id: &JobId) -> Option<String> {
    f.lock_of(id.as_str())
}

async fn a_job_is_taken_reported_on_and_completed(f: Fixture) {
    let manual = by_hand(&f).name("hand-1").start().unwrap();
    assert!(manual.take().await.unwrap().is_none(), "nothing is ready");
    let id = f.queue.add("double", &21).await.unwrap();
    let taken = take(&manual).await;
    assert_eq!((taken.job().id(), taken.job().name(), taken.job().attempt()), (&id, "double", 1));
    assert_eq!(lock(&f, &id).as_deref(), Some(taken.job().token()));
    assert!(manual.take().await.unwrap().is_none(), "it is taken");
    taken.job().progress(&50).await.unwrap();
    let kept = taken.job().clone();
    taken.complete(&(kept.data::<u32>().unwrap() * 2)).await.unwrap();
    let job = f.job(&id).await;
    assert_eq!((job.state, job.record.return_value.unwrap().get()), (Some(JobState::Completed), "42"));
    assert_eq!((job.record.progress.unwrap().get(), job.record.processed_by.as_deref()), ("50", Some("hand-1")));
    assert_eq!(lock(&f, &id), None);
    assert!(kept.progress(&60).await.unwrap_err().to_string().contains("has ended"));
}

async fn each_way_to_settle_leads_where_it_says(f: Fixture) {
    let manual = by_hand(&f)
        .backoff_strategy(|attempt| NextAttempt::After(Duration::from_secs(600) * attempt.attempts_made))
        .start()
        .unwrap();
    let backoff = Backoff::custom("own", Duration::ZERO);
    let ids =
        f.queue.add_bulk((0..5).map(|n| NewJob::new("n", &n).attempts(2).backoff(backoff.clone()))).await.unwrap();
    take(&manual).await.fail("no such user").await.unwrap();
    take(&manual).await.retry("busy").await.unwrap();
    take(&manual).await.delay(Duration::from_secs(900)).await.unwrap();
    take(&manual).await.put_back().await.unwrap();
    let after = async |n: usize| {
        let job = f.job(&ids[n]).await;
        (job.state.unwrap(), job.record.attempts_made, job.record.delay.as_secs(), job.record.failed_reason)
    };
    assert_eq!(after(0).await, (JobState::Failed, 1, 0, Some("no such user".into())));
    assert_eq!(after(1).await, (JobState::Delayed, 1, 600, Some("busy".into())));
    assert_eq!(after(2).await, (JobState::Delayed, 0, 900, None));
    assert_eq!(after(3).await, (JobState::Waiting, 0, 0, None));
    let again = take(&manual).await;
    assert_eq!(again.job().id(), &ids[3], "in front of the others");
    assert_eq!(again.job().starts(), 2);
    again.complete(&()).await.unwrap();
    let alone = take(&manual).await.wait_for_children().await.unwrap().expect("it has no children: it goes on");
    assert_eq!(alone.job().id(), &ids[4]);
    alone.job().log("still ours").await.unwrap();
    alone.retry("the first of two").await.unwrap();
    f.queue.edit(&ids[4]).promote().await.unwrap();
    take(&manual).await.retry("the last").await.unwrap();
    assert_eq!(after(4).await, (JobState::Failed, 2, 0, Some("the last".into())));
}

async fn what_cannot_be_handed_in_is_an_error(f: Fixture) {
    let manual = by_hand(&f).start().unwrap();
    let id = f.queue.add("x", &()).await.unwrap();
    let error = take(&manual).await.delay(Duration::from_secs(u64::from(u32::MAX))).await.unwrap_err();
    assert!(error.is_invalid() && error.job() == Some("1"), "{error}");
    f.until(&id, JobState::Waiting).await;
    let not_json = std::collections::HashMap::from([(vec![1], 2)]);
    let error = take(&manual).await.complete(&not_json).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(f.until(&id, JobState::Failed).await.record.failed_reason.unwrap().contains("JSON"));
}

async fn a_held_job_keeps_its_lock_and_one_that_nobody_renews_loses_it(f: Fixture) {
    let short = 3 * SECOND;
    let renewing = by_hand(&f).lock_duration(short).start().unwrap();
    let lending = by_hand(&f).lock_duration(short).without_renewal().stalled_interval(3600 * SECOND).start().unwrap();
    f.queue.add_bulk((0..2).map(|n| NewJob::new("n", &n))).await.unwrap();
    let (kept, lapsing) = (take(&renewing).await, take(&lending).await);
    assert!(lapsing.job().lock_left() > Duration::ZERO);
    wait::until_async("its lock lapses", || async { lock(&f, lapsing.job().id()).is_none() }).await;
    // It was taken before the other: by now only a renewal can have kept it.
    assert_eq!(lock(&f, kept.job().id()).as_deref(), Some(kept.job().token()));
    assert!(kept.job().cancel_reason().is_none());
    kept.complete(&()).await.unwrap();
    let error = lapsing.complete(&()).await.unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::MissingLock), "{error}");
}

async fn the_loss_of_a_lock_is_told_and_nothing_is_written(f: Fixture) {
    let manual = by_hand(&f).lock_duration(3 * SECOND).start().unwrap();
    let id = f.queue.add("x", &()).await.unwrap();
    // Also of a job that goes on after it could have waited.
    let taken = take(&manual).await.wait_for_children().await.unwrap().unwrap();
    f.give_lock("1", "somebody-else");
    let reason = tokio::time::timeout(wait::DEADLINE, taken.job().cancelled()).await.unwrap();
    assert_eq!(reason, CancelReason::LockLost(LossReason::Taken));
    let error = taken.complete(&"late").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    let job = f.job(&id).await;
    assert!(job.state == Some(JobState::Active) && job.record.return_value.is_none());
    assert_eq!(lock(&f, &id).as_deref(), Some("somebody-else"));
}

async fn a_dropped_job_goes_back_to_the_front_unspent(f: Fixture) {
    let manual = by_hand(&f).start().unwrap();
    let ids = f.queue.add_bulk((0..2).map(|n| NewJob::new("n", &n))).await.unwrap();
    drop(take(&manual).await);
    f.until(&ids[0], JobState::Waiting).await;
    let again = take(&manual).await;
    assert_eq!((again.job().id(), again.job().attempt(), again.job().starts()), (&ids[0], 1, 2));
    // The last handle may go first.
    drop(manual);
    drop(again);
    f.until(&ids[0], JobState::Waiting).await;
    assert_eq!(lock(&f, &ids[0]), None);
}

async fn settling_takes_the_next_job_when_asked_to(f: Fixture) {
    let manual = by_hand(&f).start().unwrap();
    let ids = f.queue.add_bulk((0..4).map(|n| NewJob::new("n", &n).attempts(2))).await.unwrap();
    f.queue.set_global_concurrency(Some(1)).await.unwrap();
    let first = take(&manual).await;
    assert!(manual.take().await.unwrap().is_none(), "one at a time");
    let second = first.complete_and_take("done").await.unwrap().expect("the first makes room as it ends");
    assert_eq!((second.job().id(), lock(&f, &ids[0])), (&ids[1], None));
    assert_eq!(lock(&f, &ids[1]).as_deref(), Some(second.job().token()));
    let third = second.fail_and_take("no").await.unwrap().unwrap();
    assert_eq!(third.job().id(), &ids[2]);
    let fourth = third.retry_and_take("busy").await.unwrap().unwrap();
    assert_eq!(fourth.job().id(), &ids[3]);
    let again = fourth.complete_and_take(&()).await.unwrap().expect("the third is tried again");
    assert_eq!((again.job().id(), again.job().attempt()), (&ids[2], 2));
    assert!(again.complete_and_take(&()).await.unwrap().is_none(), "none is left");
    let mut states = Vec::new();
    for id in &ids {
        states.push(f.state(id).await.unwrap());
    }
    assert_eq!(states, [JobState::Completed, JobState::Failed, JobState::Completed, JobState::Completed]);
}

async fn a_refused_outcome_takes_nothing_with_it(f: Fixture) {
    let manual = by_hand(&f).without_renewal().start().unwrap();
    let ids = f.queue.add_bulk((0..2).map(|n| NewJob::new("n", &n))).await.unwrap();
    let taken = take(&manual).await;
    f.drop_lock("1");
    let error = taken.complete_and_take(&()).await.unwrap_err();
    assert_eq!((error.refusal(), error.job()), (Some(Refusal::MissingLock), Some("1")), "{error}");
    f.until(&ids[1], JobState::Waiting).await;
    let next = take(&manual).await;
    assert_eq!((next.job().id(), next.job().attempt()), (&ids[1], 1));
    next.complete(&()).await.unwrap();
}

async fn settling_and_taking_the_next_is_one_call(f: Fixture) {
    // Nothing but what the test does is a call: no renewal, and the first search for stalled jobs is over.
    let manual = by_hand(&f).lock_duration(3600 * SECOND).stalled_interval(3600 * SECOND).start().unwrap();
    wait::until_async("the first search", || async { f.has_been_searched() }).await;
    f.queue.add_bulk((0..20).map(|n| NewJob::new("n", &n))).await.unwrap();
    let mut next = manual.take().await.unwrap();
    let (before, mut done) = (f.calls(), 0);
    while let Some(taken) = next {
        next = taken.complete_and_take(&()).await.unwrap();
        done += 1;
    }
    assert_eq!((done, f.calls() - before), (20, 20));
}

async fn waiting_ends_with_a_job_a_due_time_or_the_time(f: Fixture) {
    let manual = by_hand(&f).start().unwrap();
    assert!(manual.take_or_wait(Duration::from_millis(30)).await.unwrap().is_none());
    let before = f.calls();
    let (taken, id) = tokio::join!(manual.take_or_wait(60 * SECOND), async {
        f.until_waited_for(before).await;
        f.queue.add("x", &()).await.unwrap()
    });
    let taken = taken.unwrap().unwrap();
    assert_eq!(taken.job().id(), &id);
    taken.complete(&()).await.unwrap();
    let later = f.queue.add("later", &()).delay(Duration::from_millis(200)).await.unwrap();
    let taken = manual.take_or_wait(60 * SECOND).await.unwrap().unwrap();
    assert_eq!(taken.job().id(), &later);
    let record = taken.job().record();
    assert!(record.processed_on.unwrap().since(record.timestamp) >= Duration::from_millis(200));
    taken.complete(&()).await.unwrap();
}

async fn several_who_wait_get_a_job_each(f: Fixture) {
    let manual = by_hand(&f).start().unwrap();
    let mut waits = Vec::new();
    for _ in 0..5 {
        let manual = manual.clone();
        waits.push(tokio::spawn(async move {
            let taken = manual.take_or_wait(60 * SECOND).await.unwrap().unwrap();
            let n = taken.job().data::<u32>().unwrap();
            taken.complete(&()).await.unwrap();
            n
        }));
    }
    f.until_waited_for(0).await;
    f.queue.add_bulk((0..5).map(|n| NewJob::new("n", &n))).await.unwrap();
    let mut got = Vec::new();
    for wait in waits {
        got.push(wait.await.unwrap());
    }
    got.sort_unstable();
    assert_eq!(got, [0, 1, 2, 3, 4]);
}

async fn a_wait_that_was_given_up_takes_nothing_with_it(f: Fixture) {
    for n in 0..10 {
        let manual = by_hand(&f).start().unwrap();
        let before = f.calls();
        let waiting = tokio::spawn({
            let manual = manual.clone();
            async move { manual.take_or_wait(60 * SECOND).await.map(drop) }
        });
        f.until_waited_for(before).await;
        let id = f.queue.add("n", &n).await.unwrap();
        waiting.abort();
        // Whatever the wait got hold of, the job is there for the next to wait.
        let taken = manual.take_or_wait(60 * SECOND).await.unwrap().unwrap();
        assert_eq!(taken.job().id(), &id);
        taken.complete(&()).await.unwrap();
    }
}

/// On Redis only: a wait for a file pops nothing.
#[tokio::test]
async fn a_marker_that_was_popped_for_nobody_is_given_back() {
    let f = Fixture::on_redis();
    let proxy = Proxy::start(f.server.port());
    let manual = Manual::builder(&Store::open(&proxy.url()).unwrap(), QUEUE).start().unwrap();
    let popping = proxy.on_next(proxy::holding(b"bzpopmin"), Fault::HoldReply);
    let waiting = tokio::spawn(async move { manual.take_or_wait(60 * SECOND).await.map(drop) });
    popping.wait_for_async(1).await;
    f.until_waited_for(0).await;
    let id = f.queue.add("x", &()).await.unwrap();
    assert!(!f.redis::<bool>("EXISTS bull:mail:marker"), "it is on its way to who waits");
    waiting.abort();
    wait::until_async("others are woken", || async { f.redis::<bool>("EXISTS bull:mail:marker") }).await;
    assert_eq!(f.state(&id).await, Some(JobState::Waiting));
}

async fn a_paused_queue_and_a_reached_limit_hand_out_nothing(f: Fixture) {
    let manual = by_hand(&f).start().unwrap();
    f.queue.add_bulk((0..2).map(|n| NewJob::new("n", &n))).await.unwrap();
    f.queue.pause().await.unwrap();
    assert!(manual.take().await.unwrap().is_none());
    f.queue.resume().await.unwrap();
    f.queue.set_global_rate_limit(Some(RateLimit { max: 1, duration: Duration::from_millis(300) })).await.unwrap();
    let first = take(&manual).await;
    assert!(manual.take().await.unwrap().is_none(), "the limit is reached");
    let second = manual.take_or_wait(60 * SECOND).await.unwrap().expect("it is over in time");
    let start = |taken: &TakenJob| taken.job().record().processed_on.unwrap();
    assert!(start(&second).since(start(&first)) >= Duration::from_millis(290));
    first.complete(&()).await.unwrap();
    second.complete(&()).await.unwrap();
}

async fn jobs_that_cannot_be_run_are_failed_on_the_way(f: Fixture) {
    let manual = by_hand(&f).start().unwrap();
    let ids = f.queue.add_bulk((0..3).map(|n| NewJob::new("n", &n))).await.unwrap();
    f.break_options("1");
    f.doom("2", "stalled-too-often");
    let taken = take(&manual).await;
    assert_eq!(taken.job().id(), &ids[2]);
    taken.complete(&()).await.unwrap();
    assert_eq!(f.until(&ids[1], JobState::Failed).await.record.failed_reason.as_deref(), Some("stalled-too-often"));
    let all_failed = || async { f.queue.overview().await.unwrap().counts.failed == 2 };
    wait::until_async("so is the one that cannot be read", all_failed).await;
    let reason = f.failed_reason("1");
    assert!(reason.contains("opt"), "{reason}");
}

/// On Redis only: a file sends no replies. Lost ones on both: `store/conformance/faults`.
#[tokio::test]
async fn a_lost_reply_loses_and_doubles_nothing() {
    let f = Fixture::on_redis();
    let proxy = Proxy::start(f.server.port());
    let manual = Manual::builder(&Store::open(&proxy.url()).unwrap(), QUEUE).start().unwrap();
    let ids = f.queue.add_bulk((0..5).map(|n| NewJob::new("n", &n))).await.unwrap();
    assert!(manual.take().await.is_ok(), "scripts are loaded, and the first goes back");
    f.until(&ids[0], JobState::Waiting).await;
    for (n, id) in ids.iter().enumerate() {
        let lost = proxy.on_next(proxy::holding(b"evalsha"), Fault::LoseReply);
        let taken = manual.take().await.unwrap().unwrap();
        lost.wait_for_async(1).await;
        let lost = proxy.on_next(proxy::holding(b"evalsha"), Fault::LoseReply);
        taken.complete(&()).await.unwrap();
        lost.wait_for_async(1).await;
        let record = f.until(id, JobState::Completed).await.record;
        assert_eq!((record.attempts_made, record.attempts_started), (1, 1 + u32::from(n == 0)));
    }
}

async fn a_store_that_is_away_is_an_error_and_is_found_again(mut f: Fixture) {
    let manual = by_hand(&f).lock_duration(3 * SECOND).start().unwrap();
    f.go_away();
    let error = manual.take().await.unwrap_err();
    assert!(error.is_unreachable() && error.queue() == Some(QUEUE), "{error}");
    f.come_back();
    let id = f.queue.clone().with_patience(60 * SECOND).add("x", &()).await.unwrap();
    let mut taken = None;
    while taken.is_none() {
        taken = manual.take_or_wait(SECOND).await.unwrap_or_default();
    }
    let taken = taken.unwrap();
    assert_eq!(taken.job().id(), &id);
    taken.complete(&()).await.unwrap();
    f.until(&id, JobState::Completed).await;
}

async fn by_hand_and_by_worker_share_a_queue(f: Fixture) {
    let manual = by_hand(&f).start().unwrap();
    f.queue.add_bulk((0..100).map(|n| NewJob::new("n", &n))).await.unwrap();
    let worker = f.worker().concurrency(3).start(async |_| Ok::<_, JobError>("by worker")).unwrap();
    let mut by_hand = 0;
    while let Some(taken) = manual.take().await.unwrap() {
        taken.complete(&"by hand").await.unwrap();
        by_hand += 1;
    }
    wait::until_async("all done", || async { f.queue.overview().await.unwrap().counts.completed == 100 }).await;
    let done = f.queue.jobs(JobState::Completed, 0, 200).await.unwrap().jobs;
    let hands = done.iter().filter(|job| job.return_value.as_ref().unwrap().get() == "\"by hand\"").count();
    assert_eq!(hands, by_hand);
    assert!(done.iter().all(|job| job.attempts_started == 1));
    worker.close(SECOND).await;
}
