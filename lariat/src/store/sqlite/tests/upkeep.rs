//! What the one who runs the program does to the file with tools of their own, while it is in use.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use super::Lab;
use crate::{JobError, JobState, Queue, Store, Worker};

fn number(db: &Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Adds and removes until told to stop, so that the file is never at rest; the ids of what is left are handed back.
async fn churn(queue: Queue, mut stop: tokio::sync::oneshot::Receiver<()>) -> Vec<crate::JobId> {
    let mut kept = Vec::new();
    while stop.try_recv().is_err() {
        let gone = queue.add("gone", &json!("x".repeat(5000))).await.unwrap();
        kept.push(queue.add("kept", &kept.len()).await.unwrap());
        queue.edit(&gone).remove().await.unwrap();
    }
    kept
}

#[tokio::test]
async fn a_copy_made_while_it_is_in_use_is_a_store_of_its_own() {
    let lab = Lab::new();
    let queue = lab.queue();
    let mut before = Vec::new();
    for n in 0..50 {
        before.push(queue.add("before", &n).await.unwrap());
    }
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let churning = tokio::spawn(churn(queue.clone(), stopped));
    let copy = lab.folder.path().join("copy.db");
    let (from, to) = (lab.path(), copy.display().to_string());
    let copied = tokio::task::spawn_blocking(move || super::connect(&from).execute("VACUUM INTO ?1", [to]));
    copied.await.unwrap().unwrap();
    stop.send(()).unwrap();
    churning.await.unwrap();

    let all = queue.overview().await.unwrap().counts.waiting;
    let store = Store::connect(&format!("sqlite:{}", copy.display())).await.unwrap();
    let copied = Queue::new(&store, "mail").unwrap();
    for id in &before {
        assert_eq!(copied.job(id).await.unwrap().unwrap().state, Some(JobState::Waiting));
    }
    let counted = copied.overview().await.unwrap().counts.waiting;
    assert_eq!(copied.jobs(JobState::Waiting, 0, u64::MAX).await.unwrap().jobs.len() as u64, counted);
    let worker = Worker::builder(&store, "mail").start(async |_| Ok::<_, JobError>(())).unwrap();
    interop::wait::until_async("the copy is worked to its end", || async {
        copied.overview().await.unwrap().counts.completed == counted
    })
    .await;
    worker.close(Duration::ZERO).await;
    assert_eq!(queue.overview().await.unwrap().counts.waiting, all, "the file itself has not been worked");
}

#[tokio::test]
async fn a_vacuum_while_it_is_in_use_frees_the_room_and_changes_nothing() {
    let lab = Lab::new();
    let queue = lab.queue();
    let mut large = Vec::new();
    for _ in 0..40 {
        large.push(queue.add("large", &"x".repeat(20_000)).await.unwrap());
    }
    let named = queue.add("named", &1).id("order-7").await.unwrap();
    for id in large {
        queue.edit(&id).remove().await.unwrap();
    }
    let db = lab.sql();
    let before = number(&db, "PRAGMA page_count");
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let churning = tokio::spawn(churn(queue.clone(), stopped));
    tokio::task::spawn_blocking(move || db.execute_batch("VACUUM").unwrap()).await.unwrap();
    stop.send(()).unwrap();
    let kept = churning.await.unwrap();

    assert!(number(&lab.sql(), "PRAGMA page_count") < before);
    assert_eq!(queue.add("again", &1).id("order-7").await.unwrap(), named);
    assert_eq!(queue.overview().await.unwrap().counts.waiting, kept.len() as u64 + 1);
    for id in &kept {
        assert_eq!(queue.job(id).await.unwrap().unwrap().state, Some(JobState::Waiting));
    }
}

/// The file does not grow with the jobs that have been, but with those that are there at a time.
#[tokio::test]
async fn the_room_of_what_is_removed_is_used_again() {
    let lab = Lab::new();
    let queue = lab.queue();
    let mut pages = Vec::new();
    for _ in 0..6 {
        let mut ids = Vec::new();
        for n in 0..60 {
            ids.push(queue.add("x", &format!("{n}{}", "x".repeat(9000))).await.unwrap());
        }
        for id in ids {
            queue.edit(&id).remove().await.unwrap();
        }
        pages.push(number(&lab.sql(), "PRAGMA page_count"));
    }
    // Events are kept, so a little may be added.
    assert!(pages[5] - pages[1] <= pages[0] / 4, "{pages:?}");
}
