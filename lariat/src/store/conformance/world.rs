//! A queue in a store, and what a case does with it: a few words a step.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lariat_lock::{Claim, LockStore};
use serde_json::value::RawValue;
use tokio::runtime::Runtime;

use super::PATIENCE;
use super::hands::{Hands, InTheFile, OnTheServer};
use crate::error::{Error, Refusal};
use crate::id::{JobId, Prefix, QueueName};
use crate::job::{JobOptions, JobRecord, JobState, Keep};
use crate::store::change::{Add, AddJob, Change, ChangeJob, Setting};
use crate::store::exchange::{
    DelayedAttempt, Exchange, Exchanged, Failure, Hint, LaneCall, Lease, RateLimit, Recover, Settle, Transition,
    Verdict,
};
use crate::store::view::{Overview, Page, StoredEvent};
use crate::store::{EventStore, QueueBackend, Store};
use crate::time::Timestamp;

/// Locks that do not lapse during a test.
pub(super) const LOCK: Duration = Duration::from_secs(600);
/// When each world begins.
pub(super) const BEGINNING: i64 = 1_700_000_000_000;

/// One queue of one store, at a moment that the case sets.
pub(super) struct World {
    pub runtime: Runtime,
    pub store: Store,
    pub queue: Arc<dyn QueueBackend>,
    pub locks: Arc<dyn LockStore>,
    /// What is done to the store behind its back.
    pub hands: Box<dyn Hands>,
    events: Arc<dyn EventStore>,
    now: Cell<i64>,
    calls: Cell<u64>,
    /// Events up to this one have been told.
    told: RefCell<String>,
}

/// A job that was taken.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub id: JobId,
    pub token: Arc<str>,
    pub record: JobRecord,
}

/// A job to add.
#[derive(Clone)]
pub(super) struct New {
    name: String,
    data: String,
    options: JobOptions,
}

/// In a few words, where a failure is reported.
impl fmt::Debug for New {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let JobOptions { delay, priority, lifo, .. } = &self.options;
        write!(f, "job")?;
        if !delay.is_zero() {
            write!(f, ".delay({})", delay.as_millis())?;
        }
        if *priority > 0 {
            write!(f, ".priority({priority})")?;
        }
        if *lifo { write!(f, ".lifo") } else { Ok(()) }
    }
}

/// One without any wishes.
pub(super) fn job() -> New {
    New { name: "n".into(), data: r#"{"n":1}"#.into(), options: JobOptions::default() }
}

impl New {
    fn with(mut self, set: impl FnOnce(&mut JobOptions)) -> New {
        set(&mut self.options);
        self
    }

    pub(super) fn named(self, name: &str) -> New {
        New { name: name.into(), ..self }
    }

    pub(super) fn data(self, data: &str) -> New {
        New { data: data.into(), ..self }
    }

    pub(super) fn id(self, id: &str) -> New {
        self.with(|options| options.id = Some(JobId::custom(id).unwrap()))
    }

    /// In ms from when it is added.
    pub(super) fn delay(self, delay: u64) -> New {
        self.with(|options| options.delay = Duration::from_millis(delay))
    }

    pub(super) fn priority(self, priority: u32) -> New {
        self.with(|options| options.priority = priority)
    }

    pub(super) fn lifo(self) -> New {
        self.with(|options| options.lifo = true)
    }

    pub(super) fn attempts(self, attempts: u32) -> New {
        self.with(|options| options.attempts = attempts)
    }
}

pub(super) fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

pub(super) fn id(text: &str) -> JobId {
    JobId::existing(text).unwrap()
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn failure(reason: &str) -> Failure {
    Failure { reason: reason.into(), stacktrace: vec![format!("at {reason}")] }
}

/// Outcomes of what is held.
impl Held {
    fn to(&self, to: Transition) -> Settle {
        Settle { id: self.id.clone(), token: Arc::clone(&self.token), to }
    }

    pub(super) fn complete(&self) -> Settle {
        self.complete_with("1", Keep::ALL)
    }

    pub(super) fn complete_with(&self, value: &str, keep: Keep) -> Settle {
        self.to(Transition::Complete { value: json(value), keep })
    }

    pub(super) fn fail(&self) -> Settle {
        self.fail_with("boom", Keep::ALL, 0)
    }

    pub(super) fn fail_with(&self, reason: &str, keep: Keep, attempts: u32) -> Settle {
        self.to(Transition::Fail { failure: failure(reason), keep, attempts })
    }

    pub(super) fn retry(&self) -> Settle {
        self.to(Transition::Retry { failure: failure("boom"), lifo: false })
    }

    pub(super) fn retry_first(&self) -> Settle {
        self.to(Transition::Retry { failure: failure("boom"), lifo: true })
    }

    /// A failed attempt and its backoff in ms.
    pub(super) fn backoff(&self, delay: u64) -> Settle {
        self.to(Transition::Delay { delay: ms(delay), attempt: DelayedAttempt::Failed(failure("boom")) })
    }

    pub(super) fn delay(&self, delay: u64) -> Settle {
        self.to(Transition::Delay { delay: ms(delay), attempt: DelayedAttempt::NotUsed })
    }

    pub(super) fn wait_for_children(&self) -> Settle {
        self.to(Transition::WaitForChildren)
    }

    pub(super) fn put_back(&self) -> Settle {
        self.to(Transition::PutBack)
    }

    /// One of each kind.
    pub(super) fn all_outcomes(&self) -> [Settle; 8] {
        [
            self.complete(),
            self.fail(),
            self.retry(),
            self.retry_first(),
            self.backoff(5),
            self.delay(5),
            self.wait_for_children(),
            self.put_back(),
        ]
    }

    /// As somebody who does not hold it would say it was taken.
    pub(super) fn by(&self, token: &str) -> Held {
        Held { token: token.into(), ..self.clone() }
    }

    pub(super) fn claim(&self) -> Claim {
        Claim { id: self.id.as_str().into(), token: Arc::clone(&self.token) }
    }
}

impl World {
    pub(super) fn on_redis() -> World {
        let hands = OnTheServer::shared(unlike_others());
        World::open(&hands.url(), hands.prefix.clone(), Box::new(hands))
    }

    pub(super) fn on_sqlite() -> World {
        let hands = InTheFile::new();
        World::open(&hands.url(), "bull".into(), Box::new(hands))
    }

    fn open(url: &str, prefix: String, hands: Box<dyn Hands>) -> World {
        let store = Store::open(url).unwrap().with_prefix(Prefix::new(prefix).unwrap());
        World::of(store, hands)
    }

    /// A world of a store that has been opened.
    pub(super) fn of(store: Store, hands: Box<dyn Hands>) -> World {
        let name = QueueName::new("q").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // What the hands reach for is there from the beginning.
        runtime.block_on(store.ping()).unwrap();
        World {
            runtime,
            queue: store.queue(&name, Some("w")).unwrap(),
            locks: store.lock_store(&name).unwrap(),
            events: store.event_store(&name).unwrap(),
            store,
            hands,
            now: Cell::new(BEGINNING),
            calls: Cell::new(0),
            told: RefCell::new("0-0".into()),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.get())
    }

    /// Lets so many ms pass.
    pub(super) fn pass(&self, ms: i64) {
        self.now.set(self.now.get() + ms);
    }

    pub(super) fn call(&self, base: &str) -> LaneCall {
        self.calls.set(self.calls.get() + 1);
        LaneCall { base: base.into(), number: self.calls.get() }
    }

    pub(super) fn to_add(&self, new: New) -> AddJob {
        AddJob { name: new.name, data: json(&new.data), options: new.options.into(), timestamp: self.now() }
    }

    pub(super) fn try_add(&self, add: &Add) -> Result<Vec<Result<JobId, Refusal>>, Error> {
        self.runtime.block_on(self.queue.add(add))
    }

    #[track_caller]
    pub(super) fn add_all(&self, jobs: impl IntoIterator<Item = New>) -> Vec<JobId> {
        let jobs = jobs.into_iter().map(|new| self.to_add(new)).collect();
        let add = Add { call: self.call("adds"), jobs };
        self.try_add(&add).unwrap().into_iter().map(Result::unwrap).collect()
    }

    #[track_caller]
    pub(super) fn add(&self, new: New) -> JobId {
        self.add_all([new]).remove(0)
    }

    pub(super) fn exchange_of(&self, outcomes: Vec<Settle>, want: usize) -> Exchange {
        let call = self.call("lane");
        let lease = Lease { first: call.number * 100, lock_duration: LOCK, worker: Some("w".into()) };
        Exchange { lease, call, now: self.now(), outcomes, want, limiter: None, metrics: None, wake_another: false }
    }

    pub(super) fn try_send(&self, exchange: &Exchange) -> Result<Exchanged, Error> {
        self.runtime.block_on(self.queue.exchange(exchange, PATIENCE))
    }

    #[track_caller]
    pub(super) fn send(&self, exchange: &Exchange) -> Exchanged {
        self.try_send(exchange).unwrap()
    }

    #[track_caller]
    pub(super) fn exchange(&self, outcomes: Vec<Settle>, want: usize) -> Exchanged {
        self.send(&self.exchange_of(outcomes, want))
    }

    #[track_caller]
    pub(super) fn take(&self, want: usize) -> Vec<Held> {
        held(&self.exchange(vec![], want))
    }

    /// The next job, which is there.
    #[track_caller]
    pub(super) fn one(&self) -> Held {
        self.take(1).pop().expect("a job is ready")
    }

    /// What to do where nothing is handed out.
    #[track_caller]
    pub(super) fn hint(&self) -> Hint {
        let answer = self.exchange(vec![], 1);
        assert!(answer.jobs.is_empty(), "{:?}", answer.jobs);
        answer.hint
    }

    /// Takes jobs as a worker with a rate limit of its own.
    #[track_caller]
    pub(super) fn take_limited(&self, want: usize, limit: RateLimit) -> Exchanged {
        let mut exchange = self.exchange_of(vec![], want);
        exchange.limiter = Some(limit);
        self.send(&exchange)
    }

    #[track_caller]
    pub(super) fn settle(&self, settle: Settle) -> Verdict {
        self.exchange(vec![settle], 0).verdicts.remove(0)
    }

    /// Hands in an outcome, which is accepted.
    #[track_caller]
    pub(super) fn accept(&self, settle: Settle) {
        assert_eq!(self.settle(settle), Verdict::Accepted);
    }

    /// Log rows that it has, for a change of the log.
    pub(super) fn change(&self, id: &JobId, change: Change) -> Result<u64, Refusal> {
        self.change_by(None, id, change)
    }

    pub(super) fn change_by(&self, holder: Option<&str>, id: &JobId, change: Change) -> Result<u64, Refusal> {
        let change = ChangeJob { id: id.clone(), now: self.now(), holder: holder.map(Into::into), change };
        let changed = self.runtime.block_on(self.queue.change(&change));
        changed.map(|changed| changed.log_rows).map_err(|error| error.refusal().unwrap_or_else(|| panic!("{error:?}")))
    }

    #[track_caller]
    pub(super) fn configure(&self, setting: Setting) {
        self.runtime.block_on(self.queue.configure(setting)).unwrap();
    }

    /// Looks for stalled jobs from beginning to end, as if the last search were long ago; those that were put back.
    #[track_caller]
    pub(super) fn recover(&self, max_stalled: u32) -> Vec<String> {
        self.hands.forget_search();
        let mut recover = Recover { now: self.now(), max_stalled, interval: LOCK, after: None };
        let mut found = Vec::new();
        loop {
            let slice = self.runtime.block_on(self.queue.recover(&recover)).unwrap();
            assert!(slice.ids.len() <= 200, "a slice is short: {}", slice.ids.len());
            found.extend(slice.ids.iter().map(ToString::to_string));
            match slice.more {
                None => return found,
                more => recover.after = more,
            }
        }
    }

    pub(super) fn state(&self, id: &JobId) -> Option<JobState> {
        self.runtime.block_on(self.queue.job(id)).unwrap().and_then(|job| job.state)
    }

    #[track_caller]
    pub(super) fn record(&self, id: &JobId) -> JobRecord {
        self.runtime.block_on(self.queue.job(id)).unwrap().expect("the job is there").record
    }

    pub(super) fn overview(&self) -> Overview {
        self.runtime.block_on(self.queue.overview()).unwrap()
    }

    pub(super) fn page(&self, state: JobState, from: u64, count: u64, oldest_first: bool) -> Vec<JobRecord> {
        let page = self.runtime.block_on(self.queue.page(&Page { state, from, count, oldest_first })).unwrap();
        assert!(page.damaged.is_empty(), "{:?}", page.damaged);
        page.jobs
    }

    fn listed(&self, state: JobState, oldest_first: bool) -> Vec<String> {
        self.page(state, 0, 10_000, oldest_first).into_iter().map(|job| job.id.to_string()).collect()
    }

    /// Which jobs are where, in the order of their turn or of their coming: `waiting 2 1, completed 3`. A look at the
    /// laws comes with it.
    #[track_caller]
    pub(super) fn shown(&self) -> String {
        let counts = self.overview().counts;
        let mut all = Vec::new();
        let mut parts = Vec::new();
        for state in JobState::ALL {
            let jobs = self.listed(state, true);
            let mut backwards = self.listed(state, false);
            backwards.reverse();
            assert_eq!(jobs, backwards, "{state}, backwards");
            assert_eq!(counts.of(state), jobs.len() as u64, "the count of {state} is that of its list {jobs:?}");
            for listed in &jobs {
                assert_eq!(self.state(&id(listed)), Some(state), "job {listed} is where it is listed");
            }
            if !jobs.is_empty() {
                parts.push(format!("{state} {}", jobs.join(" ")));
            }
            all.extend(jobs);
        }
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count, "each job is in one state: {}", parts.join(", "));
        parts.join(", ")
    }

    /// The events since the last look, a line each.
    pub(super) fn told(&self) -> Vec<String> {
        let mut told = self.told.borrow_mut();
        let found = self.runtime.block_on(self.events.events(Some(&told), 10_000, Duration::ZERO)).unwrap();
        *told = found.upto;
        found.events.iter().map(line).collect()
    }
}

/// What was handed out, all of it readable.
#[track_caller]
pub(super) fn held(answer: &Exchanged) -> Vec<Held> {
    let jobs = answer.jobs.iter();
    jobs.map(|job| Held {
        id: job.id.clone(),
        token: Arc::clone(&job.token),
        record: (**job.record.as_ref().unwrap()).clone(),
    })
    .collect()
}

/// The ids of jobs, a space between them.
pub(super) fn ids(held: &[Held]) -> String {
    held.iter().map(|held| held.id.as_str()).collect::<Vec<_>>().join(" ")
}

/// An event but for its id. On Redis a removal names the key that the job was taken out of.
pub(super) fn line(event: &StoredEvent) -> String {
    let fields = event.fields.iter().map(|(name, value)| format!(" {name}={value}"));
    let line = event.name.clone() + &fields.collect::<String>();
    if line.ends_with("prev=wait") { line + "ing" } else { line }
}

fn unlike_others() -> String {
    static WORLDS: AtomicU64 = AtomicU64::new(0);
    format!("w{}", WORLDS.fetch_add(1, Ordering::Relaxed))
}
