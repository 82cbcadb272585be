//! Parents and children, laid by hand: nothing adds them yet.

use rusqlite::params;

use super::Lab;
use crate::{JobError, JobId, JobState, Queue, Worker};

/// A parent in `waiting-children` with this many children, which say this of their failure.
async fn family(lab: &Lab, queue: &Queue, children: i64, flag: &str) -> (JobId, Vec<JobId>) {
    let parent = queue.add("parent", &()).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..children {
        ids.push(queue.add("child", &()).await.unwrap());
    }
    let sql = lab.sql();
    let row = |id: &JobId| (1_i64 << 40) | id.as_str().parse::<i64>().unwrap();
    sql.execute_batch("BEGIN IMMEDIATE").unwrap();
    sql.execute("UPDATE lariat_job SET state = 6, pending = ?2 WHERE row = ?1", params![row(&parent), children])
        .unwrap();
    sql.execute_batch("UPDATE lariat_queue SET waiting = waiting - 1, waiting_children = 1").unwrap();
    let link = if flag.is_empty() { String::new() } else { format!(r#","{flag}":true"#) };
    let link = format!(r#"{{"id":"{parent}","queueKey":"bull:mail"{link}}}"#);
    for id in &ids {
        sql.execute("UPDATE lariat_job SET linked = 1 WHERE row = ?1", [row(id)]).unwrap();
        let key = format!("bull:mail:{parent}");
        sql.execute(
            "UPDATE lariat_payload SET parent_key = ?2, parent = ?3 WHERE row = ?1",
            params![row(id), key, link],
        )
        .unwrap();
        let child = format!("bull:mail:{id}");
        sql.execute("INSERT INTO lariat_child (parent, child, state) VALUES (?1, ?2, 0)", params![row(&parent), child])
            .unwrap();
    }
    sql.execute_batch("COMMIT").unwrap();
    (parent, ids)
}

async fn until(queue: &Queue, id: &JobId, state: JobState) {
    interop::wait::until_async(&format!("job {id} is {state}"), || async {
        queue.job(id).await.unwrap().unwrap().state == Some(state)
    })
    .await;
}

fn worker(lab: &Lab, bad: bool) -> Worker {
    let handler = move |job: crate::Job| async move {
        if bad && job.name() == "child" { Err(JobError::fail("boom")) } else { Ok(7) }
    };
    Worker::builder(&lab.store(), "mail").start(handler).unwrap()
}

#[tokio::test]
async fn a_parent_runs_when_its_last_child_has_completed() {
    let lab = Lab::new();
    let queue = lab.queue();
    let (parent, children) = family(&lab, &queue, 3, "").await;
    let _worker = worker(&lab, false);
    until(&queue, &parent, JobState::Completed).await;
    for child in &children {
        assert_eq!(queue.job(child).await.unwrap().unwrap().state, Some(JobState::Completed));
    }
    let kept: i64 = lab
        .sql()
        .query_row("SELECT count(*) FROM lariat_child WHERE state = 1 AND value = '7'", [], |r| r.get(0))
        .unwrap();
    assert_eq!(kept, 3);
    assert_eq!(queue.overview().await.unwrap().counts.waiting_children, 0);
}

#[tokio::test]
async fn what_a_childs_failure_means_is_what_it_says() {
    for (flag, state, reason) in [
        ("fpof", JobState::Failed, Some("child bull:mail:2 failed")),
        ("idof", JobState::Completed, None),
        ("rdof", JobState::Completed, None),
        ("", JobState::WaitingChildren, None),
    ] {
        let lab = Lab::new();
        let queue = lab.queue();
        let (parent, children) = family(&lab, &queue, 1, flag).await;
        let _worker = worker(&lab, true);
        until(&queue, &children[0], JobState::Failed).await;
        until(&queue, &parent, state).await;
        let record = queue.job(&parent).await.unwrap().unwrap().record;
        assert_eq!(record.failed_reason.as_deref(), reason, "{flag}");
    }
}

#[tokio::test]
async fn a_parent_waits_no_longer_for_a_child_that_is_removed_and_again_for_one_that_is_retried() {
    let lab = Lab::new();
    let queue = lab.queue();
    let (parent, children) = family(&lab, &queue, 2, "idof").await;
    queue.edit(&children[0]).remove().await.unwrap();
    assert_eq!(queue.job(&parent).await.unwrap().unwrap().state, Some(JobState::WaitingChildren));
    queue.edit(&children[1]).remove().await.unwrap();
    assert_eq!(queue.job(&parent).await.unwrap().unwrap().state, Some(JobState::Waiting));
    let counts = queue.overview().await.unwrap().counts;
    assert_eq!((counts.waiting, counts.waiting_children), (1, 0));
}

#[tokio::test]
async fn a_family_goes_as_a_whole() {
    let lab = Lab::new();
    let queue = lab.queue();
    let (parent, children) = family(&lab, &queue, 2, "").await;
    queue.edit(&parent).remove().await.unwrap();
    for id in children.iter().chain([&parent]) {
        assert!(queue.job(id).await.unwrap().is_none(), "{id}");
    }
    let counts = queue.overview().await.unwrap().counts;
    assert_eq!(counts, crate::Counts::default());
    let left: i64 = lab
        .sql()
        .query_row(
            "SELECT (SELECT count(*) FROM lariat_job) + (SELECT count(*) FROM lariat_payload) + (SELECT count(*) FROM lariat_child)",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert_eq!(left, 0);
}
