//! Lanes: how long an answer is kept, and how a lane says that its worker is there.

use std::sync::Arc;
use std::time::Duration;

use super::Lab;
use crate::QueueName;
use crate::job::JobOptions;
use crate::store::QueueBackend;
use crate::store::change::{Add, AddJob};
use crate::store::exchange::{Exchange, LaneCall, Lease};
use crate::time::Timestamp;

const LOCK: Duration = Duration::from_secs(30);

fn backend(lab: &Lab) -> Arc<dyn QueueBackend> {
    lab.store().queue(&QueueName::new("mail").unwrap(), None).unwrap()
}

async fn add(queue: &dyn QueueBackend, base: &str, number: u64) -> String {
    let job = AddJob {
        name: "n".into(),
        data: serde_json::value::RawValue::NULL.to_owned(),
        options: JobOptions::default().into(),
        timestamp: Timestamp::now(),
    };
    let add = Add { call: LaneCall { base: base.into(), number }, jobs: vec![job].into() };
    queue.add(&add).await.unwrap().remove(0).unwrap().to_string()
}

/// A worker's call; returns how many jobs it brought.
async fn exchange(queue: &dyn QueueBackend, base: &str, number: u64, want: usize) -> usize {
    let call = LaneCall { base: base.into(), number };
    let lease = Lease { first: number * 100, lock_duration: LOCK, worker: Some("ada".into()) };
    let now = Timestamp::now();
    let outcomes = vec![];
    let exchange = Exchange { lease, call, now, outcomes, want, limiter: None, metrics: None, wake_another: false };
    queue.exchange(&exchange, LOCK).await.unwrap().jobs.len()
}

impl Lab {
    /// A column of one lane.
    fn lane(&self, column: &str, base: &str) -> i64 {
        let sql = format!("SELECT {column} FROM lariat_lane WHERE base = ?1");
        self.sql().query_row(&sql, [base], |row| row.get(0)).unwrap()
    }

    /// Lets so much time have passed for all lanes, in ms.
    fn age(&self, ms: i64) {
        let sql = "UPDATE lariat_lane SET kept_until = kept_until - ?1, seen = seen - ?1, since = since - ?1";
        assert!(self.sql().execute(sql, [ms]).unwrap() > 0);
    }
}

#[tokio::test]
async fn an_answer_is_kept_for_its_time_from_the_last_call_on() {
    let lab = Lab::new();
    let queue = backend(&lab);
    assert_eq!(add(&*queue, "a", 1).await, "1");
    assert_eq!(add(&*queue, "a", 1).await, "1", "it is known");
    lab.age(400_000);
    assert_eq!(add(&*queue, "a", 2).await, "2");
    lab.age(400_000);
    assert_eq!(add(&*queue, "a", 2).await, "2", "the second call began its time anew");
    lab.age(400_000);
    assert_eq!(add(&*queue, "a", 2).await, "3", "its time is over");
}

#[tokio::test]
async fn a_lane_that_begins_clears_away_those_whose_time_is_over() {
    let lab = Lab::new();
    let queue = backend(&lab);
    add(&*queue, "old", 1).await;
    lab.age(700_000);
    add(&*queue, "young", 2).await;
    let lanes = || lab.sql().query_row("SELECT count(*) FROM lariat_lane", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(lanes(), 2, "its first call was another one");
    add(&*queue, "new", 1).await;
    assert_eq!(lanes(), 2);
    assert!(lab.lane("number", "young") == 2 && lab.lane("number", "new") == 1);
}

#[tokio::test]
async fn a_call_that_does_nothing_is_written_down_every_ten_seconds() {
    let lab = Lab::new();
    let queue = backend(&lab);
    exchange(&*queue, "lane", 1, 0).await;
    exchange(&*queue, "lane", 2, 0).await;
    assert_eq!(lab.lane("number", "lane"), 1, "it has just been seen");
    lab.age(11_000);
    let seen = lab.lane("seen", "lane");
    exchange(&*queue, "lane", 3, 0).await;
    assert_eq!(lab.lane("number", "lane"), 3);
    assert!(lab.lane("seen", "lane") >= seen + 11_000);
}

#[tokio::test]
async fn a_worker_is_there_while_it_is_heard_of_or_holds_a_job() {
    let lab = Lab::new();
    let queue = backend(&lab);
    let lane = |n: u32| format!("01234567-89ab-cdef-0123-456789abcdef/{n}");
    exchange(&*queue, &lane(1), 1, 0).await;
    lab.age(5_000);
    exchange(&*queue, &lane(2), 1, 0).await;
    let workers = queue.workers().await.unwrap();
    assert_eq!(workers.len(), 1, "two lanes of one worker: {workers:?}");
    let [worker] = &workers[..] else { panic!() };
    assert_eq!(worker.name.as_deref(), Some("ada"));
    assert!(worker.connected_for >= Duration::from_secs(5) && worker.idle_for < worker.connected_for, "{worker:?}");
    lab.age(31_000);
    assert!(queue.workers().await.unwrap().is_empty());
    add(&*queue, "producer", 1).await;
    assert!(queue.workers().await.unwrap().is_empty(), "who adds is none");
    assert_eq!(exchange(&*queue, &lane(1), 2, 1).await, 1);
    lab.age(31_000);
    let busy = queue.workers().await.unwrap();
    assert!(busy.len() == 1 && busy[0].idle_for >= Duration::from_secs(31), "it holds a job: {busy:?}");
}
