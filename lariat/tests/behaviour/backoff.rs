//! Backoff strategies of the user's own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lariat::{Backoff, JobError, JobState, NextAttempt, WorkerEvent};

use crate::fixture::{Fixture, event, on_both_stores};

on_both_stores! {
    a_strategy_sees_the_attempt_and_says_what_follows,
    built_in_backoffs_and_last_attempts_are_not_asked_about,
    a_name_that_nobody_knows_fails_the_job_with_words,
}

async fn a_strategy_sees_the_attempt_and_says_what_follows(f: Fixture) {
    let seen: Arc<Mutex<Vec<_>>> = Arc::default();
    let told = Arc::clone(&seen);
    let strategy = move |attempt: &lariat::FailedAttempt<'_>| {
        let asked = (
            attempt.attempts_made,
            attempt.strategy.to_owned(),
            attempt.error.reason().to_owned(),
            attempt.job.name.clone(),
            attempt.job.options.backoff.as_ref().unwrap().delay,
        );
        told.lock().unwrap().push(asked);
        match attempt.attempts_made {
            1 => NextAttempt::After(Duration::from_millis(40)),
            2 => NextAttempt::AtOnce,
            _ => NextAttempt::Never,
        }
    };
    let handler = async |job: lariat::Job| Err::<(), _>(format!("no {}", job.attempt()));
    let worker = f.worker().backoff_strategy(strategy).start(handler).unwrap();
    let mut events = worker.events();
    let backoff = Backoff::custom("moon", Duration::from_secs(7));
    let id = f.queue.add("n", &()).attempts(9).backoff(backoff).await.unwrap();
    for wait in [40, 0] {
        let delay =
            event(&mut events, |e| if let WorkerEvent::Retrying { delay, .. } = e { Some(delay) } else { None });
        assert_eq!(delay.await, Duration::from_millis(wait));
    }
    let job = f.until(&id, JobState::Failed).await.record;
    assert_eq!(
        (job.attempts_made, job.failed_reason.as_deref()),
        (3, Some("no 3")),
        "no more attempts, though 6 are left"
    );
    let expected: Vec<_> =
        (1..=3).map(|n| (n, "moon".to_owned(), format!("no {n}"), "n".to_owned(), Duration::from_secs(7))).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

async fn built_in_backoffs_and_last_attempts_are_not_asked_about(f: Fixture) {
    let strategy = |_: &lariat::FailedAttempt<'_>| panic!("nobody asked for it");
    let handler = async |_| Err::<(), _>("no");
    let _worker = f.worker().backoff_strategy(strategy).start(handler).unwrap();
    let fixed = f.queue.add("x", &()).attempts(2).backoff(Backoff::fixed(Duration::from_millis(5))).await.unwrap();
    let last = f.queue.add("x", &()).backoff(Backoff::custom("moon", Duration::ZERO)).await.unwrap();
    for (id, attempts) in [(&fixed, 2), (&last, 1)] {
        let job = f.until(id, JobState::Failed).await.record;
        assert_eq!((job.attempts_made, job.failed_reason.as_deref()), (attempts, Some("no")));
    }
}

async fn a_name_that_nobody_knows_fails_the_job_with_words(f: Fixture) {
    let backoff = Backoff::custom("moon", Duration::ZERO);
    let id = f.queue.add("x", &()).attempts(9).backoff(backoff).await.unwrap();
    let _worker = f.worker().start(async |_| Err::<(), _>(JobError::retry("boom"))).unwrap();
    let reason = f.until(&id, JobState::Failed).await.record.failed_reason.unwrap();
    assert!(reason.contains("boom") && reason.contains("moon"), "{reason}");
}
