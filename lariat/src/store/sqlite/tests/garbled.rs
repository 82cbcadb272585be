//! Bytes that are no UTF-8 where a job's texts should be: they cost their own job, and nobody else.

use std::time::Duration;

use super::Lab;
use crate::{JobError, JobState, Worker};

/// Makes this column of one job's row something that nobody can read.
fn garble(lab: &Lab, update: &str, job: &str) {
    let changed =
        lab.sql().execute(&format!("UPDATE {update} = CAST(X'ff41' AS TEXT) WHERE row & 0xffffffffff = {job}"), []);
    assert_eq!(changed.unwrap(), 1);
}

#[tokio::test]
async fn who_holds_what_is_listed() {
    let lab = Lab::new();
    let queue = lab.queue();
    queue.add("first", &1).await.unwrap();
    queue.add("second", &2).await.unwrap();
    let (free, held) = tokio::sync::watch::channel(false);
    let handler = move |_| {
        let mut held = held.clone();
        async move {
            held.wait_for(|free| *free).await.unwrap();
            Ok::<_, JobError>(())
        }
    };
    let worker = Worker::builder(&lab.store(), "mail").concurrency(2).start(handler).unwrap();
    interop::wait::until_async("both run", || async { queue.locks(9).await.unwrap().len() == 2 }).await;
    garble(&lab, "lariat_payload SET name", "1");
    garble(&lab, "lariat_job SET processed_by", "2");
    let names: Vec<_> = queue.locks(9).await.unwrap().into_iter().map(|held| held.name.unwrap()).collect();
    assert_eq!(names, ["\u{fffd}A", "second"]);
    free.send(true).unwrap();
    worker.close(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_job_that_is_due_holds_up_no_other() {
    let lab = Lab::new();
    let queue = lab.queue();
    let soon = Duration::from_millis(1);
    queue.add("first", &1).id("garbled").delay(soon).await.unwrap();
    let second = queue.add("second", &2).delay(soon).await.unwrap();
    garble(&lab, "lariat_payload SET custom", "1");
    let worker = Worker::builder(&lab.store(), "mail").start(async |_| Ok::<_, JobError>(())).unwrap();
    interop::wait::until_async("the other is done", || async {
        queue.job(&second).await.unwrap().unwrap().state == Some(JobState::Completed)
    })
    .await;
    worker.close(Duration::ZERO).await;
    let first = queue.job(&crate::JobId::existing("1").unwrap()).await.unwrap().unwrap();
    assert_eq!(first.state, Some(JobState::Completed), "it goes by its number");
}

#[tokio::test]
async fn a_job_whose_worker_died_holds_up_no_other() {
    let lab = Lab::new();
    let queue = lab.queue();
    queue.add("first", &1).id("garbled").await.unwrap();
    let second = queue.add("second", &2).await.unwrap();
    lab.sql()
        .execute_batch(
            "UPDATE lariat_job SET state = 1, token = 'gone', lock_until = 1, suspect = 1;
             UPDATE lariat_queue SET waiting = 0, active = 2;",
        )
        .unwrap();
    garble(&lab, "lariat_payload SET custom", "1");
    let worker = Worker::builder(&lab.store(), "mail")
        .stalled_interval(Duration::from_millis(20))
        .start(async |_| Ok::<_, JobError>(()))
        .unwrap();
    interop::wait::until_async("both have ended", || async { queue.overview().await.unwrap().counts.completed == 2 })
        .await;
    worker.close(Duration::ZERO).await;
    assert_eq!(queue.job(&second).await.unwrap().unwrap().state, Some(JobState::Completed));
}
