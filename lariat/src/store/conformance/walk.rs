//! Random walks: the same calls leave both stores in the same observable state, and are answered the same way.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use interop::redis::RedisServer;

use super::PATIENCE;
use super::world::{LOCK, json, line};
use crate::error::Error;
use crate::id::{JobId, QueueName};
use crate::job::{JobOptions, JobState, Keep};
use crate::store::change::{Add, AddJob, Change, ChangeJob, Setting};
use crate::store::exchange::{
    DelayedAttempt, Exchange, Exchanged, Failure, Hint, LaneCall, Lease, RateLimit, Settle, Transition,
};
use crate::store::view::Page;
use crate::store::{EventStore, QueueBackend, Store};
use crate::time::Timestamp;

const STEPS: usize = 60;

/// One queue of one store.
struct Place {
    queue: Arc<dyn QueueBackend>,
    events: Arc<dyn EventStore>,
}

impl Place {
    fn open(url: &str, queue: &str) -> Place {
        let store = Store::open(url).unwrap();
        let name = QueueName::new(queue).unwrap();
        Place { queue: store.queue(&name, None).unwrap(), events: store.event_store(&name).unwrap() }
    }
}

fn job(name: &str, options: JobOptions, now: Timestamp) -> AddJob {
    AddJob { name: name.to_owned(), data: json(r#"{"n": 1}"#), options: options.into(), timestamp: now }
}

fn exchange(number: u64, now: Timestamp, outcomes: Vec<Settle>, want: usize) -> Exchange {
    Exchange {
        call: LaneCall { base: "lane".into(), number },
        now,
        outcomes,
        want,
        lease: Lease { first: number * 100, lock_duration: LOCK, worker: Some("w".into()) },
        limiter: None,
        metrics: Some(500),
        wake_another: false,
    }
}

fn settle(id: &JobId, token: &str, to: Transition) -> Settle {
    Settle { id: id.clone(), token: token.into(), to }
}

/// What both stores are told next, as a pure function of chance and of what has been answered.
struct Walk {
    rng: Rng,
    now: i64,
    calls: u64,
    ids: Vec<JobId>,
    /// Jobs that are held: id, token, priority.
    held: Vec<(JobId, String, u32)>,
}

#[derive(Debug)]
enum Step {
    Add(Add),
    Exchange(Box<Exchange>),
    Change(ChangeJob),
    Configure(Setting),
}

impl Walk {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn next(&mut self) -> Step {
        // Now and then some minutes pass, so that metrics and ages have something to go by.
        self.now += if self.rng.u8(..20) == 0 { self.rng.i64(60_000..400_000) } else { self.rng.i64(1..50) };
        match self.rng.u8(..10) {
            0..3 => Step::Add(self.add()),
            3..7 => Step::Exchange(Box::new(self.exchange())),
            7..9 => Step::Change(self.change()),
            _ => Step::Configure(self.setting()),
        }
    }

    fn add(&mut self) -> Add {
        self.calls += 1;
        let mut jobs = Vec::new();
        for _ in 0..self.rng.usize(1..5) {
            let options = self.options();
            jobs.push(job(["a", "b"][self.rng.usize(..2)], options, self.now()));
        }
        Add { call: LaneCall { base: "adds".into(), number: self.calls }, jobs: jobs.into() }
    }

    fn options(&mut self) -> JobOptions {
        let rng = &mut self.rng;
        let mut options = JobOptions { attempts: rng.u32(0..4), lifo: rng.u8(..4) == 0, ..JobOptions::default() };
        if rng.u8(..4) == 0 {
            options.delay = Duration::from_millis(rng.u64(1..200));
        }
        if rng.u8(..3) == 0 {
            options.priority = rng.u32(1..4);
        }
        if rng.u8(..6) == 0 {
            options.id = Some(JobId::custom(format!("own-{}", rng.u8(..6))).unwrap());
        }
        options
    }

    fn exchange(&mut self) -> Exchange {
        self.calls += 1;
        let keep = self.keep();
        // Jobs that end at the same moment are listed in another order by each store, and then a rule removes others of
        // them: so one ends at a time.
        let mut outcomes: Vec<Settle> = Vec::new();
        for _ in 0..self.rng.usize(..5) {
            let ends = |settle: &Settle| matches!(settle.to, Transition::Complete { .. } | Transition::Fail { .. });
            let first = !outcomes.iter().any(ends);
            outcomes.extend(self.outcome(keep).filter(|settle| first || !ends(settle)));
        }
        let mut exchange = exchange(self.calls, self.now(), outcomes, self.rng.usize(..5));
        if self.rng.u8(..8) == 0 {
            exchange.limiter = Some(RateLimit { max: 2, duration: Duration::from_secs(3600) });
        }
        exchange
    }

    fn keep(&mut self) -> Keep {
        match self.rng.u8(..8) {
            0 => Keep::NONE,
            1 => Keep::last(self.rng.u64(1..4)),
            2 => Keep::for_at_most(Duration::from_secs(self.rng.u64(0..300))),
            3 => Keep { count: Some(3), age: Some(Duration::from_secs(60)), limit: Some(2) },
            _ => Keep::ALL,
        }
    }

    fn outcome(&mut self, keep: Keep) -> Option<Settle> {
        if self.rng.u8(..12) == 0 {
            let id = self.some_id()?;
            return Some(settle(&id, "nobody:1", Transition::Complete { value: json("1"), keep }));
        }
        if self.held.is_empty() {
            return None;
        }
        let (id, token, priority) = self.held.swap_remove(self.rng.usize(..self.held.len()));
        let failure = Failure { reason: "boom".into(), stacktrace: vec!["at x".into(), "\"y\"".into()] };
        let delay = Duration::from_millis(self.rng.u64(..100));
        let to = match self.rng.u8(..10) {
            0..4 => Transition::Complete { value: json(r#"{"r":[1]}"#), keep },
            4 => Transition::Fail { failure, keep, attempts: self.rng.u32(..3) },
            5 => Transition::Retry { failure, lifo: self.rng.bool() },
            6 => Transition::Delay { delay, attempt: DelayedAttempt::Failed(failure) },
            7 => Transition::Delay { delay, attempt: DelayedAttempt::NotUsed },
            8 => Transition::WaitForChildren,
            // Among prioritized jobs that were put back, Redis goes by their ids, we by their order.
            _ if priority > 0 => Transition::Retry { failure, lifo: false },
            _ => Transition::PutBack,
        };
        if matches!(to, Transition::WaitForChildren) {
            self.held.push((id.clone(), token.clone(), priority));
        }
        Some(settle(&id, &token, to))
    }

    fn some_id(&mut self) -> Option<JobId> {
        (!self.ids.is_empty()).then(|| self.ids[self.rng.usize(..self.ids.len())].clone())
    }

    fn change(&mut self) -> ChangeJob {
        let id = self.some_id().unwrap_or_else(|| JobId::existing("17").unwrap());
        let token = self.held.iter().find(|(held, ..)| *held == id).map(|(_, token, _)| token.as_str().into());
        let holder = match self.rng.u8(..6) {
            0 => Some("nobody:1".into()),
            1 => token,
            _ => None,
        };
        let change = match self.rng.u8(..11) {
            0 => Change::Progress(json("[50]")),
            1 => Change::Data(json(r#""new""#)),
            2 => Change::Log { rows: vec!["one".into(), "two".into()], keep: None },
            3 => Change::Log { rows: vec!["three".into()], keep: Some(self.rng.u64(..3)) },
            4 => Change::TrimLog { keep: self.rng.u64(..3) },
            5 => Change::Delay(Duration::from_millis(self.rng.u64(..300))),
            6 => {
                let priority = self.rng.u32(..3);
                if let Some(held) = self.held.iter_mut().find(|(held, ..)| *held == id) {
                    held.2 = 1;
                }
                Change::Priority { priority, lifo: false }
            }
            7 => Change::Promote,
            8 => Change::Reprocess {
                from: [None, Some(JobState::Completed), Some(JobState::Failed)][self.rng.usize(..3)],
                reset_made: self.rng.bool(),
                reset_started: self.rng.bool(),
            },
            9 => {
                if let Some(held) = self.held.iter_mut().find(|(held, ..)| *held == id) {
                    held.2 = 1;
                }
                Change::Priority { priority: 0, lifo: true }
            }
            _ => Change::Remove { children: self.rng.bool() },
        };
        ChangeJob { id, now: self.now(), holder, change }
    }

    fn setting(&mut self) -> Setting {
        let limit = RateLimit { max: self.rng.u64(1..5), duration: Duration::from_secs(3600) };
        match self.rng.u8(..8) {
            0 => Setting::Pause,
            1..3 => Setting::Resume,
            3 => Setting::Concurrency(Some(self.rng.u64(1..6))),
            4 => Setting::Concurrency(None),
            5 => Setting::RateLimit(Some(limit)),
            6 => Setting::RateLimit(None),
            _ => Setting::Limited((self.rng.bool()).then(|| Duration::from_secs(3600))),
        }
    }

    /// Takes in what was answered.
    fn answered(&mut self, answer: &Exchanged) {
        for taken in &answer.jobs {
            let priority = taken.record.as_ref().unwrap().priority;
            self.held.push((taken.id.clone(), taken.token.to_string(), priority));
        }
    }
}

fn words<T: Debug>(answer: &Result<T, Error>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn exchanged(answer: &Exchanged) -> String {
    let hint = match answer.hint {
        // How long exactly depends on when it was asked.
        Hint::LimitedFor(_) => Hint::LimitedFor(Duration::ZERO),
        hint => hint,
    };
    format!("{:#?} {:#?} {hint:?} {:?}", answer.verdicts, answer.jobs, answer.dropped)
}

/// Which jobs are where, in which order.
async fn order(place: &Place) -> String {
    let mut order = Vec::new();
    for state in JobState::ALL {
        let mut jobs = place.queue.page(&Page { state, from: 0, count: 1000, oldest_first: true }).await.unwrap().jobs;
        if matches!(state, JobState::Completed | JobState::Failed) {
            jobs.sort_by_key(|job| (job.finished_on, job.id.clone()));
        }
        let ids: Vec<_> = jobs.iter().map(|job| job.id.as_str()).collect();
        order.push(format!("{state}: {}", ids.join(" ")));
    }
    order.join("\n")
}

/// All that can be seen of a queue.
async fn seen(place: &Place, ids: &[JobId], end: &str) -> Vec<String> {
    let mut overview = place.queue.overview().await.unwrap();
    overview.limited_for = overview.limited_for.map(|_| Duration::ZERO);
    let mut seen = vec![format!("{overview:?}")];
    for state in JobState::ALL {
        for oldest_first in [true, false] {
            let page = Page { state, from: 0, count: 1000, oldest_first };
            let mut jobs = place.queue.page(&page).await.unwrap().jobs;
            if matches!(state, JobState::Completed | JobState::Failed) {
                jobs.sort_by_key(|job| (job.finished_on, job.id.clone()));
            }
            seen.push(format!("{state} {jobs:#?}"));
        }
        if matches!(state, JobState::Completed | JobState::Failed) {
            seen.push(format!("{:?}", place.queue.metrics(state, 1000).await.unwrap()));
        }
    }
    for id in ids {
        seen.push(format!("{:?}", place.queue.job(id).await.unwrap().map(|job| job.state)));
        seen.push(format!("{id} {:?}", place.queue.logs(id, 1, 2).await.unwrap()));
    }
    seen.push(format!("{:?}", place.queue.priorities(&[0, 1, 2, 3]).await.unwrap()));
    let held = place.queue.held(100).await.unwrap();
    let held: Vec<_> = held.into_iter().map(|job| (job.id, job.name, job.token, job.worker, job.since)).collect();
    seen.push(format!("{held:?}"));
    let events = place.events.events(Some(end), 10_000, Duration::ZERO).await.unwrap().events;
    seen.push(events.iter().map(line).collect::<Vec<_>>().join("\n"));
    seen
}

fn same(what: &str, redis: &str, sqlite: &str) {
    if redis == sqlite {
        return;
    }
    let differs = redis.lines().zip(sqlite.lines()).position(|(a, b)| a != b).unwrap_or(0);
    let around = |text: &str| text.lines().skip(differs.saturating_sub(12)).take(24).collect::<Vec<_>>().join("\n");
    panic!("{what}: they differ\nRedis:\n{}\nSQLite:\n{}", around(redis), around(sqlite));
}

async fn walk(seed: u64, redis: &Place, sqlite: &Place) {
    let mut walk =
        Walk { rng: Rng::with_seed(seed), now: 1_700_000_000_000, calls: 0, ids: Vec::new(), held: Vec::new() };
    for step in 0..STEPS {
        let at = format!("seed {seed}, step {step}");
        let step = walk.next();
        let what = format!("{at}: {step:#?}");
        match step {
            Step::Add(add) => {
                let (ours, theirs) = (sqlite.queue.add(&add).await, redis.queue.add(&add).await);
                same(&what, &words(&theirs), &words(&ours));
                if walk.rng.u8(..4) == 0 {
                    let (again, theirs) = (sqlite.queue.add(&add).await, redis.queue.add(&add).await);
                    same(&format!("{what}, again"), &words(&theirs), &words(&again));
                    same(&format!("{what}, its repeat"), &words(&ours), &words(&again));
                }
                walk.ids.extend(ours.unwrap().into_iter().map(Result::unwrap));
                walk.ids.sort();
                walk.ids.dedup();
            }
            Step::Exchange(exchange) => {
                let ours = sqlite.queue.exchange(&exchange, PATIENCE).await.unwrap();
                let theirs = redis.queue.exchange(&exchange, PATIENCE).await.unwrap();
                same(&what, &exchanged(&theirs), &exchanged(&ours));
                walk.answered(&ours);
                if !(ours.verdicts.is_empty() && ours.jobs.is_empty()) && walk.rng.u8(..4) == 0 {
                    let ours = sqlite.queue.exchange(&exchange, PATIENCE).await.unwrap();
                    let theirs = redis.queue.exchange(&exchange, PATIENCE).await.unwrap();
                    same(&format!("{what}, again"), &exchanged(&theirs), &exchanged(&ours));
                }
            }
            Step::Change(change) => {
                let (ours, theirs) = (sqlite.queue.change(&change).await, redis.queue.change(&change).await);
                same(&what, &words(&theirs), &words(&ours));
            }
            Step::Configure(setting) => {
                sqlite.queue.configure(setting).await.unwrap();
                redis.queue.configure(setting).await.unwrap();
            }
        }
        same(&what, &order(redis).await, &order(sqlite).await);
    }
    let (theirs, ours) = (seen(redis, &walk.ids, "0-0").await, seen(sqlite, &walk.ids, "0-0").await);
    for (theirs, ours) in theirs.iter().zip(&ours) {
        same(&format!("seed {seed}, at the end"), theirs, ours);
    }
}

#[tokio::test]
async fn random_walks_leave_both_stores_the_same() {
    let server = RedisServer::start();
    let walks = std::env::var("LARIAT_WALKS").ok().and_then(|walks| walks.parse().ok()).unwrap_or(10);
    let first = std::env::var("LARIAT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    for seed in first..first + walks {
        let name = format!("q{seed}");
        let (redis, sqlite) = (Place::open(&server.url(), &name), Place::open("sqlite::memory:", &name));
        walk(seed, &redis, &sqlite).await;
    }
}
