//! Several stores on one file, each with a writer and a look of its own, as processes have them.

use std::time::Duration;

use super::super::SqliteStore;
use super::super::queue::QueueKey;
use super::Lab;
use crate::id::{Prefix, QueueName};
use crate::store::url::{self, Target};
use crate::{ErrorKind, JobError, JobState, QueueEvents, Store, Worker};

#[tokio::test]
async fn a_job_that_another_process_adds_wakes_an_idle_worker() {
    let lab = Lab::new();
    let worker = Worker::builder(&lab.store(), "mail").start(async |_| Ok::<_, JobError>(())).unwrap();
    let producer = lab.queue();
    for _ in 0..5 {
        let id = producer.add("x", &1).await.unwrap();
        interop::wait::until_async("it is done", || async {
            producer.job(&id).await.unwrap().unwrap().state == Some(JobState::Completed)
        })
        .await;
    }
    worker.close(Duration::ZERO).await;
}

#[tokio::test]
async fn events_of_another_process_are_seen() {
    let lab = Lab::new();
    let producer = lab.queue();
    producer.add("before", &1).await.unwrap();
    let mut events = QueueEvents::from_now(&lab.store(), "mail").await.unwrap();
    let (event, id) = tokio::join!(events.next(), producer.add("after", &1));
    let event = event.unwrap();
    assert_eq!(event.raw.0, "added");
    assert_eq!(event.raw.1[0].1, id.unwrap().as_str());
}

/// Nobody watched before, and the thread that looks at the file has gone to rest after what it was asked last.
#[tokio::test]
async fn a_wait_for_events_wakes_a_writer_that_rests() {
    let lab = Lab::new();
    let (producer, listener) = (lab.queue(), lab.store());
    let events = listener.event_store(producer.name()).unwrap();
    for n in 0..5 {
        listener.ping().await.unwrap();
        // Takes another thread's commit, which is time enough to go to rest.
        producer.add("before", &n).await.unwrap();
        let after = events.events(None, 0, Duration::ZERO).await.unwrap().upto;
        let (seen, added) = tokio::join!(
            tokio::time::timeout(interop::wait::DEADLINE, events.events(Some(&after), 9, Duration::from_secs(3600))),
            producer.add("after", &n)
        );
        added.unwrap();
        assert!(!seen.expect("it is seen before the wait is over").unwrap().events.is_empty());
    }
}

#[tokio::test]
async fn ids_are_given_out_once_whoever_adds() {
    let lab = Lab::new();
    let queues = [lab.queue(), lab.queue(), lab.queue()];
    let mut adds = tokio::task::JoinSet::new();
    for n in 0..150 {
        let queue = queues[n % 3].clone();
        adds.spawn(async move { queue.add("x", &n).await.unwrap().to_string() });
    }
    let mut ids = adds.join_all().await;
    ids.sort_by_key(|id| id.parse::<u64>().unwrap());
    assert_eq!(ids, (1..=150).map(|n: u64| n.to_string()).collect::<Vec<_>>());
    for queue in queues {
        assert_eq!(queue.overview().await.unwrap().counts.waiting, 150);
    }
}

#[tokio::test]
async fn a_file_that_stays_busy_is_an_error_in_time_and_nothing_was_done() {
    let lab = Lab::new();
    let store: Store = lab.store();
    store.ping().await.unwrap();
    let queue = crate::Queue::new(&store, "mail").unwrap().with_patience(Duration::from_millis(50));
    let other = lab.sql();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = queue.add("x", &1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:?}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(queue.overview().await.unwrap().counts.waiting, 0);
    queue.add("x", &1).await.unwrap();
}

/// The wait itself, with no look at the queue in between that would find the job as well.
#[tokio::test]
async fn a_commit_on_a_connection_of_the_callers_ends_a_wait() {
    let lab = Lab::new();
    let store = lab.store();
    store.ping().await.unwrap();
    let queue = crate::Queue::new(&store, "mail").unwrap();
    let waiting = store.queue(queue.name(), None).unwrap().wait(interop::wait::DEADLINE);
    let commits = async {
        let mut sql = lab.sql();
        let tx = sql.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        queue.add_in(&tx, "x", &1).write().unwrap();
        tx.commit().unwrap();
    };
    let (woken, ()) = tokio::join!(waiting, commits);
    assert_eq!(woken.unwrap(), crate::store::exchange::Woken::Ready);
}

/// Somebody writes all the while, and what only looks has not opened the file before.
#[tokio::test]
async fn a_first_look_waits_for_nobody_who_writes() {
    let lab = Lab::new();
    let id = lab.queue().add("x", &1).await.unwrap();
    let other = lab.sql();
    other.execute_batch("BEGIN IMMEDIATE; UPDATE lariat_queue SET waiting = 7").unwrap();
    Store::connect(&lab.url()).await.unwrap();
    assert_eq!(lab.store().queues().await.unwrap().len(), 1);
    assert_eq!(lab.queue().overview().await.unwrap().counts.waiting, 1);
    assert_eq!(lab.queue().job(&id).await.unwrap().unwrap().state, Some(JobState::Waiting));
    let events = lab.store().event_store(lab.queue().name()).unwrap();
    assert_eq!(events.events(Some("0-0"), 9, Duration::ZERO).await.unwrap().events.len(), 2);
    other.execute_batch("ROLLBACK").unwrap();
}

/// Its store has asked for nothing before, so that nobody looks at the file yet; and somebody writes all the while.
#[tokio::test]
async fn a_first_watch_sees_what_is_there_and_what_others_commit() {
    let lab = Lab::new();
    lab.queue().add("x", &1).await.unwrap();
    let other = lab.sql();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let Target::Sqlite(address) = url::parse(&lab.url()).unwrap() else { panic!("a file") };
    let store = SqliteStore::new(&address);
    let key = QueueKey::new(&Prefix::default(), &QueueName::new("mail").unwrap());
    let mut signals = store.writer.watch(&key);
    let seen = tokio::time::timeout(interop::wait::DEADLINE, signals.wait_for(|signal| signal.ready)).await;
    assert_eq!(seen.expect("it is seen").unwrap().last_event, 2);
    other.execute_batch("ROLLBACK").unwrap();
    lab.queue().add("x", &2).await.unwrap();
    let seen = tokio::time::timeout(interop::wait::DEADLINE, signals.wait_for(|signal| signal.last_event == 4)).await;
    seen.expect("it is seen").unwrap();
}
