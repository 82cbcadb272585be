//! What is written many at a time is read as if it had been written one by one.

use std::sync::Arc;
use std::time::Duration;

use lariat_lock::{Claim, Verdict};
use serde_json::value::RawValue;

use super::super::writer::Turn;
use super::super::{Backend, PATIENCE, events};
use super::{Lab, bare};
use crate::NewJob;
use crate::id::{JobId, Prefix, QueueName};
use crate::job::JobOptions;
use crate::store::change::{Add, AddJob};
use crate::store::exchange::{Exchange, LaneCall, Lease, Taken};
use crate::store::{JobStore, QueueBackend};
use crate::time::Timestamp;

const LOCK: Duration = Duration::from_secs(60);

fn call(base: &str) -> LaneCall {
    LaneCall { base: base.into(), number: 1 }
}

fn job(data: usize, id: Option<&str>) -> AddJob {
    let options = JobOptions { id: id.map(JobId::stored), ..JobOptions::default() };
    let data = RawValue::from_string(data.to_string()).unwrap();
    AddJob { name: "send".to_owned(), data, options: options.into(), timestamp: Timestamp::from_millis(1) }
}

async fn take(queue: &dyn QueueBackend, want: usize) -> Vec<Taken> {
    let lease = Lease { first: 1, lock_duration: LOCK, worker: None };
    let (now, outcomes) = (Timestamp::from_millis(2), Vec::new());
    let call = call("taker");
    let exchange = Exchange { call, now, outcomes, want, lease, limiter: None, metrics: None, wake_another: false };
    queue.exchange(&exchange, PATIENCE).await.unwrap().jobs
}

#[tokio::test]
async fn jobs_of_one_call_are_all_there_in_their_order() {
    let (store, key) = bare();
    let queue = store.on(&Prefix::default(), &QueueName::new(&*key.name).unwrap());
    // More than one statement of many, some left over, and ids that are those of jobs just before or are given twice.
    let mut jobs: Vec<AddJob> = (1..=43).map(|n| job(n, None)).collect();
    jobs.push(job(0, Some("7")));
    jobs.extend([job(45, Some("mine")), job(0, Some("mine")), job(47, Some("100")), job(48, None)]);
    let ids = queue.add(&Add { call: call("adder"), jobs: jobs.into() }).await.unwrap();
    let ids: Vec<String> = ids.into_iter().map(|id| id.unwrap().to_string()).collect();
    let mut expected: Vec<String> = (1..=43).map(|n: i32| n.to_string()).collect();
    expected.extend(["7", "mine", "mine", "100", "101"].map(str::to_owned));
    assert_eq!(ids, expected);
    let taken = take(&*queue, 64).await;
    let data = |job: &Taken| job.record.as_ref().unwrap().data.get().parse::<usize>().unwrap();
    let found: Vec<(String, usize)> = taken.iter().map(|job| (job.id.to_string(), data(job))).collect();
    let mut expected: Vec<(String, usize)> = (1..=43).map(|n: usize| (n.to_string(), n)).collect();
    expected.extend([("mine".to_owned(), 45), ("100".to_owned(), 47), ("101".to_owned(), 48)]);
    assert_eq!(found, expected);
}

#[tokio::test]
async fn each_claim_of_a_call_has_its_own_verdict() {
    let (store, key) = bare();
    let name = QueueName::new(&*key.name).unwrap();
    let queue = store.on(&Prefix::default(), &name);
    let jobs = vec![job(1, None), job(2, Some("mine")), job(3, None), job(4, None)];
    queue.add(&Add { call: call("adder"), jobs: jobs.into() }).await.unwrap();
    let taken = take(&*queue, 3).await;
    let locks = store.locks(&Prefix::default(), &name).unwrap();
    let held: Vec<Claim> = taken.iter().map(|job| Claim::new(job.id.as_str(), Arc::clone(&job.token))).collect();
    assert_eq!(locks.extend(&held, LOCK).await.unwrap(), [Verdict::Extended; 3]);
    let [one, mine, three] = &held[..] else { unreachable!("three were taken") };
    let claims = [
        one.clone(),
        Claim::new("1", "somebody:1"),
        mine.clone(),
        one.clone(),
        Claim::new("4", "somebody:1"),
        Claim::new("nowhere", "somebody:1"),
        three.clone(),
    ];
    let (extended, taken, missing) = (Verdict::Extended, Verdict::Taken, Verdict::Missing);
    let verdicts = locks.extend(&claims, LOCK).await.unwrap();
    assert_eq!(verdicts, [extended, taken, extended, extended, missing, missing, extended]);
}

/// Emits so many events in one commit.
async fn emit(store: &super::super::SqliteStore, key: &Arc<super::super::queue::QueueKey>, events: i64) {
    let key = Arc::clone(key);
    let emitting = store.writer.call(Turn::InOrder, PATIENCE, move |tx| {
        let queue = tx.queue(&key)?;
        for n in 0..events {
            let value = (n % 3 == 0).then_some("42");
            events::emit(tx, queue, events::Kind::Progress, Some(&n.to_string()), value, None)?;
        }
        Ok(())
    });
    emitting.await.unwrap();
}

#[tokio::test]
async fn events_are_read_in_pieces_that_end_anywhere() {
    let (store, key) = bare();
    for events in [1, 150, 3, 64] {
        emit(&store, &key, events).await;
    }
    let (mut after, mut jobs) = ("0-0".to_owned(), Vec::new());
    loop {
        let (key, behind) = (Arc::clone(&key), after.clone());
        let read = store.readers.read(move |file| events::read(file, &key, &behind, 7)).await.unwrap();
        assert!(read.events.len() <= 7);
        for (event, n) in read.events.iter().zip(jobs.len() + 1..) {
            assert!(event.id.ends_with(&format!("-{n}")), "{} is the {n}th", event.id);
        }
        let first = |event: &crate::store::view::StoredEvent| event.fields[0].1.parse::<i64>().unwrap();
        jobs.extend(read.events.iter().map(first));
        if read.events.is_empty() {
            break;
        }
        after = read.upto;
    }
    let expected: Vec<i64> = [1, 150, 3, 64].into_iter().flat_map(|events| 0..events).collect();
    assert_eq!(jobs, expected);
}

#[tokio::test]
async fn the_oldest_events_go_and_ten_thousand_stay() {
    let (store, key) = bare();
    for _ in 0..12 {
        emit(&store, &key, 1_000).await;
    }
    let read = store.readers.read(move |file| events::read(file, &key, "0-0", 20_000)).await.unwrap();
    assert!((10_000..11_000).contains(&read.events.len()), "{} are kept", read.events.len());
    assert!(read.upto.ends_with("-12000"), "{} is the last", read.upto);
}

#[tokio::test]
async fn a_thousand_jobs_are_added_in_one_call() {
    let lab = Lab::new();
    let ids = lab.queue().add_bulk((0..1_001).map(|n| NewJob::new("x", &n))).await.unwrap();
    assert_eq!(ids.len(), 1_001);
    let calls: i64 = lab.sql().query_row("SELECT number FROM lariat_lane", [], |row| row.get(0)).unwrap();
    assert_eq!(calls, 2);
}
