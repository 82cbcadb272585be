//! What the scripts cost the server. Not a test: run it by hand, in release, and read the figures.
//!
//! `cargo test --release -p lariat --lib -- --ignored --nocapture cost`

use std::time::Duration;

use interop::redis::RedisServer;
use lariat_lock::{Claim, LockStore};
use serde_json::json;

use super::agreement::{at, new_job, open, raw};
use crate::Keep;
use crate::store::QueueBackend;
use crate::store::change::Add;
use crate::store::exchange::{Exchange, LaneCall, Lease, Recover, Settle, Transition};

const NOW: u64 = 1_700_000_000_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// CPU of the server's main thread, and time inside scripts, in microseconds; and calls of scripts.
#[derive(Clone, Copy)]
struct Meter {
    cpu: f64,
    scripts: f64,
    calls: f64,
}

fn meter(server: &RedisServer) -> Meter {
    let info = |section: &str| -> String { redis::cmd("INFO").arg(section).query(&mut server.connection()).unwrap() };
    let field = |text: &str, name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.split(',').next().unwrap().trim().parse().unwrap()
    };
    let (cpu, stats) = (info("cpu"), info("commandstats"));
    let script = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:")).unwrap_or("").to_owned();
    let parts = script.replace(',', "\n");
    Meter {
        cpu: 1e6 * (field(&cpu, "used_cpu_sys_main_thread:") + field(&cpu, "used_cpu_user_main_thread:")),
        scripts: field(&parts, "usec="),
        calls: field(&parts, "calls="),
    }
}

fn report(what: &str, n: usize, before: Meter, after: Meter, unit: &str) {
    #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
    let n = n as f64;
    println!(
        "{what:<28} cpu {:6.2} us/{unit}  in scripts {:6.2} us/{unit}  {:8.1} us/call",
        (after.cpu - before.cpu) / n,
        (after.scripts - before.scripts) / n,
        (after.scripts - before.scripts) / (after.calls - before.calls),
    );
}

async fn fill(queue: &dyn QueueBackend, jobs: usize, each: usize) {
    for number in 1..=(jobs / each) as u64 {
        let base = format!("p{each}").into();
        let job = new_job("noop", &json!({"to": "ada@example.org"}), &json!({}), NOW);
        queue.add(&Add { call: LaneCall { base, number }, jobs: vec![job; each].into() }).await.unwrap();
    }
}

async fn work(queue: &dyn QueueBackend, jobs: usize, each: usize) {
    let base: std::sync::Arc<str> = "0b9f7a52-6c1e-4e0a-9a51-0c6a1f6f1c11".into();
    let (mut number, mut done) = (0, 0);
    let mut outcomes: Vec<Settle> = Vec::new();
    while done < jobs {
        number += 1;
        let exchange = Exchange {
            call: LaneCall { base: base.clone(), number },
            now: at(NOW + number),
            want: each,
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
            to: Transition::Complete { value: raw(&json!(null)), keep: Keep::ALL },
        }));
    }
}

#[tokio::test]
#[ignore = "a measurement: it prints figures, which it does not judge"]
async fn cost_of_exchange_and_add() {
    for each in [1, 5, 10, 25, 50] {
        let server = RedisServer::start();
        let queue = open(&server.url(), "q");
        let jobs = if each == 1 { 20_000 } else { 50_000 };
        let before = meter(&server);
        fill(&*queue, jobs, each * 10).await;
        report(&format!("add, {} a call", each * 10), jobs, before, meter(&server), "job");
        let before = meter(&server);
        work(&*queue, jobs, each).await;
        report(&format!("exchange, {each} a call"), jobs, before, meter(&server), "job");
    }
}

#[tokio::test]
#[ignore = "a measurement: it prints figures, which it does not judge"]
async fn cost_of_extend() {
    let server = RedisServer::start();
    let mut connection = server.connection();
    let store = crate::Store::open(&server.url()).unwrap();
    let locks = store.locks("q").unwrap();
    let claims: Vec<Claim> =
        (0..10_000).map(|i| Claim::new(format!("{i}"), format!("0b9f7a52-6c1e-4e0a-9a51-0c6a1f6f1c11:{i}"))).collect();
    let mut pipe = redis::pipe();
    for claim in &claims {
        pipe.cmd("SET").arg(format!("bull:q:{}:lock", claim.id)).arg(&*claim.token).arg("PX").arg(30_000).ignore();
    }
    pipe.exec(&mut connection).unwrap();
    let before = meter(&server);
    for _ in 0..10 {
        for chunk in claims.chunks(500) {
            let verdicts = locks.extend(chunk, Duration::from_secs(30)).await.unwrap();
            assert!(verdicts.iter().all(|verdict| *verdict == lariat_lock::Verdict::Extended));
        }
    }
    report("extend, 500 a call", 100_000, before, meter(&server), "lock");
}

#[tokio::test]
#[ignore = "a measurement: it prints figures, which it does not judge"]
async fn cost_of_recover() {
    let server = RedisServer::start();
    let queue = open(&server.url(), "q");
    fill(&*queue, 100_000, 500).await;
    let mut connection = server.connection();
    let script = "for i = 1, 100000 do redis.call('RPOPLPUSH', KEYS[1], KEYS[2]) redis.call('SADD', KEYS[3], i) end";
    redis::cmd("EVAL")
        .arg(script)
        .arg(3)
        .arg(&["bull:q:wait", "bull:q:active", "bull:q:stalled"])
        .exec(&mut connection)
        .unwrap();
    redis::cmd("CONFIG").arg("SET").arg("slowlog-log-slower-than").arg(0).exec(&mut connection).unwrap();
    redis::cmd("CONFIG").arg("SET").arg("slowlog-max-len").arg(10_000).exec(&mut connection).unwrap();
    let before = meter(&server);
    let mut recover = Recover { now: at(NOW), max_stalled: 1, interval: Duration::from_secs(30), after: None };
    let (mut found, mut slices) = (0, 0);
    loop {
        let slice = queue.recover(&recover).await.unwrap();
        found += slice.ids.len();
        slices += 1;
        let Some(more) = slice.more else { break };
        recover.after = Some(more);
    }
    let after = meter(&server);
    report("recover, 100,000 lapsed", found, before, after, "job");
    let slow: Vec<redis::Value> = redis::cmd("SLOWLOG").arg("GET").arg(10_000).query(&mut connection).unwrap();
    let longest = slow
        .iter()
        .filter_map(|entry| match entry {
            redis::Value::Array(parts) => match parts[2] {
                redis::Value::Int(us) => Some(us),
                _ => None,
            },
            _ => None,
        })
        .max();
    println!("{found} found in {slices} slices, the longest script {longest:?} us");
}

/// One script each: what a job with many below it, a long legacy list or a large page holds the server for.
#[tokio::test]
#[ignore = "a measurement: it prints figures, which it does not judge"]
async fn cost_of_changes_and_pages() {
    use crate::JobState;
    use crate::store::change::{Change, ChangeJob, Setting};
    use crate::store::view::Page;
    let server = RedisServer::start();
    let queue = open(&server.url(), "q");
    let mut connection = server.connection();
    let ground = "for i = 1, 10000 do local job = 'bull:q:' .. i
          redis.call('HSET', job, 'name', 'n', 'data', '{}', 'parentKey', 'bull:q:top')
          redis.call('ZADD', 'bull:q:completed', i, i)
          redis.call('HSET', 'bull:q:top:processed', job, 'null') end
        redis.call('HSET', 'bull:q:top', 'name', 'n') redis.call('ZADD', 'bull:q:completed', 0, 'top')
        for i = 1, 100000 do redis.call('LPUSH', 'bull:q:paused', i) end redis.call('LPUSH', 'bull:q:wait', 'x')";
    redis::cmd("EVAL").arg(ground).arg(0).exec(&mut connection).unwrap();
    let before = meter(&server);
    let page = Page { state: JobState::Completed, from: 0, count: 10_000, oldest_first: true };
    assert_eq!(queue.page(&page).await.unwrap().jobs.len(), 10_000);
    report("page, 1000 a call", 10_000, before, meter(&server), "job");
    let before = meter(&server);
    queue.configure(Setting::Resume).await.unwrap();
    report("resume, 7000 a call", 100_000, before, meter(&server), "job");
    let before = meter(&server);
    let change = |change: Change| ChangeJob { id: super::agreement::id("7"), now: at(NOW), holder: None, change };
    for n in 0..10_000 {
        queue.change(&change(Change::Progress(raw(&json!(n))))).await.unwrap();
    }
    report("progress", 10_000, before, meter(&server), "job");
    let before = meter(&server);
    let id = super::agreement::id("top");
    let remove = ChangeJob { id, ..change(Change::Remove { children: true }) };
    queue.change(&remove).await.unwrap();
    assert_eq!(queue.overview().await.unwrap().counts.completed, 0);
    report("remove, with 10,000 below", 10_000, before, meter(&server), "job");
}
