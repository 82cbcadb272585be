//! Changing jobs from outside their handlers.

use std::time::Duration;

use lariat::{ErrorKind, Job, JobError, JobId, JobState, Keep, Refusal, Reprocess};
use serde_json::json;

use crate::fixture::{Fixture, Gate, SECOND, on_both_stores};

on_both_stores! {
    a_delayed_job_is_made_to_run_sooner_later_and_now,
    a_sleeping_worker_notices_what_is_changed,
    a_failed_job_is_tried_again,
    another_priority_changes_the_order,
    a_job_that_is_held_is_not_removed,
    the_log_is_kept_as_short_as_asked,
    every_change_says_that_there_is_no_such_job,
    what_breaks_a_rule_is_not_sent,
}

fn nobody() -> JobId {
    JobId::existing("nobody").unwrap()
}

async fn a_delayed_job_is_made_to_run_sooner_later_and_now(f: Fixture) {
    let id = f.queue.add("n", &1).delay(Duration::from_secs(3600)).await.unwrap();
    f.queue.edit(&id).delay(Duration::from_secs(7200)).await.unwrap();
    let job = f.job(&id).await;
    assert_eq!((job.state, job.record.delay), (Some(JobState::Delayed), Duration::from_secs(7200)));
    f.queue.edit(&id).promote().await.unwrap();
    let job = f.job(&id).await;
    assert_eq!((job.state, job.record.delay), (Some(JobState::Waiting), Duration::ZERO));
    let refused = f.queue.edit(&id).promote().await.unwrap_err();
    assert_eq!(
        (refused.refusal(), refused.queue(), refused.job()),
        (Some(Refusal::NotInState), Some("mail"), Some("1"))
    );
}

/// A worker that sleeps until a job is due is told when it becomes ready, or due sooner.
async fn a_sleeping_worker_notices_what_is_changed(f: Fixture) {
    let _worker = f.worker().start(async |_: Job| Ok::<_, JobError>(())).unwrap();
    let promoted = f.queue.add("n", &1).delay(Duration::from_secs(3600)).await.unwrap();
    let hastened = f.queue.add("n", &2).delay(Duration::from_secs(3600)).await.unwrap();
    f.queue.edit(&promoted).promote().await.unwrap();
    f.until(&promoted, JobState::Completed).await;
    f.queue.edit(&hastened).delay(Duration::from_millis(1)).await.unwrap();
    f.until(&hastened, JobState::Completed).await;
    f.queue.edit(&promoted).retry().await.unwrap();
    let again = f.until(&promoted, JobState::Completed).await;
    assert_eq!((again.record.attempts_made, again.record.attempts_started), (2, 2));
}

async fn a_failed_job_is_tried_again(f: Fixture) {
    let id = f.queue.add("n", &1).attempts(2).await.unwrap();
    let worker = f.worker().start(async |_: Job| Err::<(), _>(JobError::retry("not today"))).unwrap();
    f.until(&id, JobState::Failed).await;
    worker.close(SECOND).await;
    let not_completed = f.queue.edit(&id).retry_with(Reprocess::default().from(JobState::Completed)).await.unwrap_err();
    assert_eq!(not_completed.refusal(), Some(Refusal::NotInState));
    let how = Reprocess::default().from(JobState::Failed).reset_attempts_made().reset_attempts_started();
    f.queue.edit(&id).retry_with(how).await.unwrap();
    let job = f.job(&id).await;
    assert_eq!(job.state, Some(JobState::Waiting));
    assert_eq!((job.record.attempts_made, job.record.attempts_started, job.record.failed_reason), (0, 0, None));
    let _worker = f.worker().start(async |_: Job| Ok::<_, JobError>("now")).unwrap();
    let job = f.until(&id, JobState::Completed).await;
    assert_eq!((job.record.attempts_made, job.record.stacktrace.len()), (1, 2));
}

async fn another_priority_changes_the_order(f: Fixture) {
    let mut ids = Vec::new();
    for priority in [0, 5, 5, 1] {
        ids.push(f.queue.add("n", &priority).priority(priority).await.unwrap());
    }
    f.queue.edit(&ids[0]).priority(5, false).await.unwrap();
    f.queue.edit(&ids[2]).priority(5, true).await.unwrap();
    f.queue.edit(&ids[1]).priority(0, false).await.unwrap();
    let order = |page: lariat::JobPage| page.jobs.into_iter().map(|job| job.id).collect::<Vec<_>>();
    let waiting = order(f.queue.jobs(JobState::Waiting, 0, 9).await.unwrap());
    let prioritized = order(f.queue.jobs(JobState::Prioritized, 0, 9).await.unwrap());
    assert_eq!(waiting, [ids[1].clone()]);
    assert_eq!(prioritized, [ids[3].clone(), ids[2].clone(), ids[0].clone()]);
    assert_eq!(f.job(&ids[0]).await.record.priority, 5);
}

async fn a_job_that_is_held_is_not_removed(f: Fixture) {
    let gate = Gate::new();
    let _worker = f.worker().start(gate.handler()).unwrap();
    let id = f.queue.add("n", &1).await.unwrap();
    gate.started().await;
    assert_eq!(f.queue.edit(&id).remove().await.unwrap_err().refusal(), Some(Refusal::LockTaken));
    gate.open();
    f.until(&id, JobState::Completed).await;
    f.queue.edit(&id).remove().await.unwrap();
    assert!(f.queue.job(&id).await.unwrap().is_none());
    assert_eq!(f.queue.edit(&id).remove().await.unwrap_err().refusal(), Some(Refusal::MissingJob));
    assert!(f.has_no_trace_of("1"));
}

async fn the_log_is_kept_as_short_as_asked(f: Fixture) {
    let id = f.queue.add("n", &1).await.unwrap();
    let edit = f.queue.edit(&id);
    let rows = |from: u32, to: u32| (from..to).map(|n| format!("row {n}")).collect::<Vec<_>>();
    assert_eq!(edit.log(rows(0, 2500), None).await.unwrap(), 2500);
    assert_eq!(edit.log(rows(2500, 2502), Some(5)).await.unwrap(), 5);
    let page = f.queue.logs(&id, 1, 3).await.unwrap();
    assert_eq!((page.rows, page.total), (rows(2498, 2501), 5));
    assert_eq!(edit.trim_log(2).await.unwrap(), 2);
    assert_eq!(f.queue.logs(&id, 0, 9).await.unwrap().rows, rows(2500, 2502));
    assert_eq!(edit.trim_log(0).await.unwrap(), 0);
    assert_eq!(f.queue.logs(&id, 0, 9).await.unwrap().total, 0);
    assert_eq!(edit.log(Vec::new(), None).await.unwrap(), 0);
}

async fn every_change_says_that_there_is_no_such_job(f: Fixture) {
    let id = nobody();
    let edit = f.queue.edit(&id);
    let answers = [
        edit.progress(&1).await,
        edit.data(&1).await,
        edit.log(vec!["x".into()], None).await.map(drop),
        edit.trim_log(1).await.map(drop),
        edit.promote().await,
        edit.delay(SECOND).await,
        edit.priority(1, false).await,
        edit.retry().await,
        edit.remove().await,
        edit.remove_keep_children().await,
    ];
    for (n, answer) in answers.into_iter().enumerate() {
        let error = answer.unwrap_err();
        assert_eq!((error.refusal(), error.job()), (Some(Refusal::MissingJob), Some("nobody")), "{n}");
    }
    assert!(f.is_untouched());
}

async fn what_breaks_a_rule_is_not_sent(f: Fixture) {
    let id = nobody();
    let edit = f.queue.edit(&id);
    for (answer, field) in [
        (edit.priority(2_097_152, false).await, "priority"),
        (edit.delay(Duration::from_secs(100 * 365 * 86_400)).await, "delay"),
        (edit.retry_with(Reprocess::default().from(JobState::Active)).await, "state"),
    ] {
        let error = answer.unwrap_err();
        assert_eq!((error.kind(), error.job(), error.queue()), (ErrorKind::Invalid, Some("nobody"), Some("mail")));
        assert!(error.to_string().contains(field), "{error}");
    }
}

/// Nothing is sent twice, so who asks learns that it may have happened.
/// On Redis only: a file that is busy has not been written. On both: `store/conformance/faults`.
#[tokio::test]
async fn a_change_without_an_answer_is_unknown() {
    let f = Fixture::on_redis();
    let id = f.queue.add("n", &1).remove_on_complete(Keep::ALL).await.unwrap();
    // The server is to know the script, or it would not be carried out.
    f.queue.edit(&id).priority(0, false).await.unwrap();
    f.server.freeze();
    let error = f.queue.edit(&id).priority(3, false).await.unwrap_err();
    assert!(error.is_unknown(), "{error:?}");
    f.server.thaw();
    f.until(&id, JobState::Prioritized).await;
    assert_eq!(f.queue.counts_per_priority(&[3]).await.unwrap(), [1]);
    f.queue.edit(&id).data(&json!([1])).await.unwrap();
    assert_eq!(f.job(&id).await.record.data.get(), "[1]");
}
