//! What the store costs. Not a test: run it by hand, in release, and read the figures.
//!
//! `cargo test --release -p lariat --lib -- --ignored --nocapture sqlite::cost`

use std::sync::Arc;
use std::time::{Duration, Instant};

use lariat_lock::{Claim, LockStore};
use serde_json::value::RawValue;
use tempfile::TempDir;

use crate::job::Keep;
use crate::store::QueueBackend;
use crate::store::change::{Add, AddJob};
use crate::store::exchange::{Exchange, LaneCall, Lease, Settle, Transition};
use crate::time::Timestamp;
use crate::{JobError, Queue, QueueName, Store, Worker};

const PATIENCE: Duration = Duration::from_secs(60);

struct Bench {
    _folder: TempDir,
    store: Store,
}

impl Bench {
    fn new(options: &str) -> Bench {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&format!("sqlite:{}{options}", folder.path().join("jobs.db").display())).unwrap();
        Bench { _folder: folder, store }
    }

    fn backend(&self) -> Arc<dyn QueueBackend> {
        self.store.queue(&QueueName::new("q").unwrap(), None).unwrap()
    }
}

fn new_job() -> AddJob {
    AddJob {
        name: "noop".to_owned(),
        data: RawValue::from_string(r#"{"to":"ada@example.org"}"#.to_owned()).unwrap(),
        options: Arc::default(),
        timestamp: Timestamp::now(),
    }
}

async fn fill(queue: &dyn QueueBackend, base: &str, jobs: usize, each: usize) {
    for number in 1..=(jobs / each) as u64 {
        queue
            .add(&Add { call: LaneCall { base: base.into(), number }, jobs: vec![new_job(); each].into() })
            .await
            .unwrap();
    }
}

/// Takes and completes, `each` a call.
async fn work(queue: &dyn QueueBackend, base: &str, jobs: usize, each: usize) {
    let base: Arc<str> = base.into();
    let (mut number, mut done) = (0, 0);
    let mut outcomes: Vec<Settle> = Vec::new();
    while done < jobs {
        number += 1;
        let exchange = Exchange {
            call: LaneCall { base: base.clone(), number },
            now: Timestamp::now(),
            want: each.min(jobs - done),
            lease: Lease { first: number * 64, lock_duration: Duration::from_secs(30), worker: None },
            limiter: None,
            metrics: None,
            wake_another: false,
            outcomes: std::mem::take(&mut outcomes),
        };
        let answer = queue.exchange(&exchange, PATIENCE).await.unwrap();
        done += answer.verdicts.len();
        outcomes.extend(answer.jobs.into_iter().map(|job| Settle {
            id: job.id,
            token: job.token,
            to: Transition::Complete { value: RawValue::from_string("null".into()).unwrap(), keep: Keep::ALL },
        }));
    }
}

/// When something began: on the clock, and in CPU time of this process, which other work on the machine changes less.
#[derive(Clone, Copy)]
struct Began {
    at: Instant,
    cpu: f64,
}

fn began() -> Began {
    Began { at: Instant::now(), cpu: cpu_seconds() }
}

fn cpu_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
    let (seconds, nanos) = (used.tv_sec as f64, used.tv_nsec as f64);
    seconds + nanos / 1e9
}

fn report(what: &str, n: usize, began: Began) {
    #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
    let n = n as f64;
    let (took, cpu) = (began.at.elapsed().as_secs_f64(), cpu_seconds() - began.cpu);
    println!("\n{what:<52} {:8.0} /s {:8.2} us each, {:8.2} us of CPU", n / took, 1e6 * took / n, 1e6 * cpu / n);
}

#[tokio::test]
#[ignore = "a measurement: it prints figures, which it does not judge"]
async fn cost_of_exchange_and_add() {
    for options in ["?durability=normal", ""] {
        for each in [1, 10, 50] {
            let bench = Bench::new(options);
            let queue = bench.backend();
            let jobs = if each == 1 { 5_000 } else { 50_000 };
            let start = began();
            fill(&*queue, "p", jobs, each).await;
            report(&format!("add, {each} a call {options}"), jobs, start);
            let start = began();
            work(&*queue, "w", jobs, each).await;
            report(&format!("exchange, {each} a call {options}"), jobs, start);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: it prints figures, which it does not judge"]
async fn cost_of_a_whole_worker() {
    for options in ["?durability=normal", ""] {
        let bench = Bench::new(options);
        let queue = Queue::new(&bench.store, "q").unwrap();
        let jobs = 50_000;
        let start = began();
        let mut adds = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let queue = queue.clone();
            adds.spawn(async move {
                for _ in 0..jobs / 100 {
                    queue.add("noop", &1).await.unwrap();
                }
            });
        }
        while adds.join_next().await.is_some() {}
        report(&format!("add, 100 in flight {options}"), jobs, start);
        let start = began();
        let worker = Worker::builder(&bench.store, "q").concurrency(50).start(async |_| Ok::<_, JobError>(())).unwrap();
        interop::wait::until_async("all are done", || async {
            queue.overview().await.unwrap().counts.completed == jobs as u64
        })
        .await;
        report(&format!("no-op jobs, concurrency 50 {options}"), jobs, start);
        worker.close(PATIENCE).await;
        let start = began();
        for _ in 0..500 {
            queue.add("noop", &1).await.unwrap();
        }
        report(&format!("add, one at a time {options}"), 500, start);
    }
}

#[tokio::test]
#[ignore = "a measurement: it prints figures, which it does not judge"]
async fn cost_with_many_jobs() {
    let bench = Bench::new("?durability=normal");
    let queue = bench.backend();
    for (waiting, finished) in [(1_000_usize, 0_usize), (100_000, 0), (100_000, 1_000_000)] {
        let held: usize = queue.overview().await.unwrap().counts.completed.try_into().unwrap();
        if finished > held {
            fill(&*queue, &format!("f{finished}"), finished - held, 500).await;
            work(&*queue, &format!("g{finished}"), finished - held, 50).await;
        }
        let there: usize = queue.overview().await.unwrap().counts.waiting.try_into().unwrap();
        fill(&*queue, &format!("p{waiting}{finished}"), (waiting + 20_000).saturating_sub(there), 500).await;
        let start = began();
        work(&*queue, &format!("w{waiting}{finished}"), 20_000, 50).await;
        report(&format!("exchange, 50 a call, {waiting} waiting, {finished} kept"), 20_000, start);
    }
}

#[tokio::test]
#[ignore = "a measurement: it prints figures, which it does not judge"]
async fn cost_of_extend() {
    let bench = Bench::new("?durability=normal");
    let queue = bench.backend();
    fill(&*queue, "p", 10_000, 500).await;
    let mut claims = Vec::new();
    let base: Arc<str> = "0b9f7a52-6c1e-4e0a-9a51-0c6a1f6f1c11".into();
    for number in 1..=200 {
        let exchange = Exchange {
            call: LaneCall { base: base.clone(), number },
            now: Timestamp::now(),
            want: 50,
            lease: Lease { first: number * 64, lock_duration: Duration::from_secs(60), worker: None },
            limiter: None,
            metrics: None,
            wake_another: false,
            outcomes: Vec::new(),
        };
        let jobs = queue.exchange(&exchange, PATIENCE).await.unwrap().jobs;
        claims.extend(jobs.into_iter().map(|job| Claim::new(job.id.to_string(), job.token)));
    }
    assert_eq!(claims.len(), 10_000);
    let locks = bench.store.locks("q").unwrap();
    let start = began();
    for _ in 0..10 {
        for chunk in claims.chunks(500) {
            let verdicts = locks.extend(chunk, Duration::from_secs(60)).await.unwrap();
            assert!(verdicts.iter().all(|verdict| *verdict == lariat_lock::Verdict::Extended));
        }
    }
    report("extend, 500 a call", 100_000, start);
}
