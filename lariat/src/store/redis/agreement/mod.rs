//! The same steps through BullMQ's own scripts and through ours must leave the same keyspace: one file per transition.
//!
//! [`Both`] is a server with two databases. A step is done on the first by npm `bullmq`, on the second by this store,
//! at the same `now` and with the same tokens. The differences that are meant are listed in `docs/wire-format.md`; a test
//! that meets one says so.

mod active;
mod add;
mod change;
mod configure;
mod dedup;
mod delay;
mod edit;
mod edits;
mod finish;
mod law;
mod limits;
mod locks;
mod markers;
mod parents;
mod promote;
mod put_back;
mod reading;
mod recover;
mod refusals;
mod remove;
mod reprocess;
mod retention;
mod retry;
mod steps;
mod walk;

use std::sync::Arc;
use std::time::Duration;

use interop::agreement::Pair;
use interop::keyspace::Options;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::id::{JobId, Prefix, QueueName};
use crate::store::change::{Add, AddJob};
use crate::store::exchange::{
    DelayedAttempt, Exchange, Exchanged, Failure, LaneCall, Lease, RateLimit, Settle, Transition,
};
use crate::store::options;
use crate::store::{Backend, QueueBackend, Store};
use crate::time::Timestamp;
use crate::{Error, Keep, Refusal};

pub(super) const NOW: u64 = 1_700_000_000_000;
pub(super) const LOCK: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(20);

/// Two databases and the two programs that work on them, on one queue `q`.
pub(super) struct Both {
    pub(in crate::store::redis) pair: Pair,
    pub(in crate::store::redis) runtime: tokio::runtime::Runtime,
    pub(in crate::store::redis) queue: Arc<dyn QueueBackend>,
    lane: Arc<str>,
    number: std::cell::Cell<u64>,
    limiter: Option<RateLimit>,
    metrics: Option<u32>,
    /// Node on our database, for steps that only BullMQ does so far.
    second: std::cell::OnceCell<interop::node::NodeBull>,
}

impl Both {
    pub(in crate::store::redis) fn start() -> Both {
        Self::with(Options::default())
    }

    /// Base markers that no work stands behind are not ours to write; most steps need this.
    pub(in crate::store::redis) fn without_markers() -> Both {
        Self::with(Options::default().without_key(":marker"))
    }

    /// For what has no counterpart; Node is there but not asked.
    pub(in crate::store::redis) fn ours_alone() -> Both {
        Self::start()
    }

    pub(in crate::store::redis) fn with(options: Options) -> Both {
        let pair = Pair::with(options);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let queue = open(&pair.ours(), "q");
        Both {
            pair,
            runtime,
            queue,
            lane: "t".into(),
            number: 0.into(),
            limiter: None,
            metrics: None,
            second: std::cell::OnceCell::new(),
        }
    }

    pub(in crate::store::redis) fn limited(mut self, max: u64, duration: Duration) -> Both {
        self.limiter = Some(RateLimit { max, duration });
        self
    }

    pub(super) fn with_metrics(mut self, points: u32) -> Both {
        self.metrics = Some(points);
        self
    }

    fn worker(&self) -> Value {
        let limiter = self
            .limiter
            .map(|limit| json!({"max": limit.max, "duration": u64::try_from(limit.duration.as_millis()).unwrap()}));
        let mut worker = json!({"lockDuration": 30_000});
        if let Some(limiter) = limiter {
            worker["limiter"] = limiter;
        }
        if let Some(points) = self.metrics {
            worker["metrics"] = json!({"maxDataPoints": points});
        }
        worker
    }

    /// A step of BullMQ's on queue `q`.
    #[track_caller]
    pub(in crate::store::redis) fn theirs(&self, mut step: Value) -> Value {
        step["queue"] = "q".into();
        step["worker"] = self.worker();
        self.pair.theirs(step)
    }

    /// BullMQ's code for a step that it refuses.
    #[track_caller]
    pub(in crate::store::redis) fn their_refusal(&self, mut step: Value) -> i64 {
        step["queue"] = "q".into();
        step["worker"] = self.worker();
        let error = self.pair.try_theirs(step).expect_err("it was to be refused");
        error.code.unwrap_or_else(|| panic!("an error without a code: {error}"))
    }

    /// Adds one job on both sides; returns its id.
    #[track_caller]
    pub(in crate::store::redis) fn add(&self, name: &str, data: &Value, opts: &Value, now: u64) -> String {
        let theirs = self.theirs(json!({"op": "add", "name": name, "data": data, "opts": opts, "now": now}));
        let ours = self.add_ours(vec![new_job(name, data, opts, now)]);
        assert_eq!(theirs["id"], ours[0]);
        ours[0].clone()
    }

    #[track_caller]
    pub(in crate::store::redis) fn add_ours(&self, jobs: Vec<AddJob>) -> Vec<String> {
        let add = Add { call: self.call("adds"), jobs: jobs.into() };
        let ids = self.runtime.block_on(self.queue.add(&add)).unwrap();
        ids.into_iter().map(|id| id.unwrap().to_string()).collect()
    }

    pub(in crate::store::redis) fn call(&self, base: &str) -> LaneCall {
        self.number.set(self.number.get() + 1);
        LaneCall { base: base.into(), number: self.number.get() }
    }

    pub(in crate::store::redis) fn exchange_of(
        &self,
        outcomes: Vec<Settle>,
        want: usize,
        first: u64,
        now: u64,
    ) -> Exchange {
        Exchange {
            call: self.call(&self.lane),
            now: at(now),
            outcomes,
            want,
            lease: Lease { first, lock_duration: LOCK, worker: None },
            limiter: self.limiter,
            metrics: self.metrics,
            wake_another: false,
        }
    }

    pub(in crate::store::redis) fn try_send(&self, exchange: &Exchange) -> Result<Exchanged, Error> {
        self.runtime.block_on(self.queue.exchange(exchange, PATIENCE))
    }

    pub(in crate::store::redis) fn try_add(&self, add: &Add) -> Result<Vec<Result<JobId, Refusal>>, Error> {
        self.runtime.block_on(self.queue.add(add))
    }

    #[track_caller]
    pub(in crate::store::redis) fn send(&self, exchange: &Exchange) -> Exchanged {
        self.runtime.block_on(self.queue.exchange(exchange, PATIENCE)).unwrap()
    }

    #[track_caller]
    pub(in crate::store::redis) fn ours(&self, outcomes: Vec<Settle>, want: usize, first: u64, now: u64) -> Exchanged {
        self.send(&self.exchange_of(outcomes, want, first, now))
    }

    /// Takes one job on both sides with token `t:<n>`; returns its id, the same on both.
    #[track_caller]
    pub(in crate::store::redis) fn fetch(&self, n: u64, now: u64) -> Option<String> {
        let theirs = self.theirs(json!({"op": "fetch", "token": format!("t:{n}"), "now": now}));
        let ours = self.ours(vec![], 1, n, now);
        let id = ours.jobs.first().map(|job| job.id.to_string());
        assert_eq!(theirs["job"]["id"].as_str().map(str::to_owned), id, "{theirs} {ours:?}");
        id
    }

    /// Makes our database a copy of theirs, after steps that only BullMQ does so far.
    pub(in crate::store::redis) fn copy(&self) {
        let mut ours = interop::redis::connect(&self.pair.ours());
        redis::cmd("FLUSHDB").exec(&mut ours).unwrap();
        redis::cmd("SELECT").arg(0).exec(&mut ours).unwrap();
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut ours).unwrap();
        for key in keys {
            redis::cmd("COPY").arg(&key).arg(&key).arg("DB").arg(1).exec(&mut ours).unwrap();
        }
    }

    #[track_caller]
    pub(in crate::store::redis) fn assert_same(&self) {
        self.pair.assert_same();
    }

    /// Runs plain commands on both databases; keys as they are.
    pub(in crate::store::redis) fn both(&self, commands: &[&[&str]]) {
        self.pair.both(commands);
    }
}

pub(super) fn add_of(both: &Both, jobs: Vec<AddJob>) -> Add {
    Add { call: both.call("adds"), jobs: jobs.into() }
}

pub(super) fn open(url: &str, queue: &str) -> Arc<dyn QueueBackend> {
    let store = Store::open(url).unwrap();
    let backend: &dyn Backend = &*store.backend;
    backend.queue(&Prefix::default(), &QueueName::new(queue).unwrap(), None).unwrap()
}

pub(super) fn at(now: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(now).unwrap())
}

pub(super) fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

pub(super) fn id(id: &str) -> JobId {
    JobId::existing(id).unwrap()
}

pub(super) fn new_job(name: &str, data: &Value, opts: &Value, now: u64) -> AddJob {
    AddJob {
        name: name.into(),
        data: raw(data),
        options: options::decode(&opts.to_string().replace("keepLogs", "kl")).unwrap().into(),
        timestamp: at(now),
    }
}

/// An outcome of the job that was taken with token `t:<n>`.
pub(super) fn settle(job: &str, n: u64, to: Transition) -> Settle {
    Settle { id: id(job), token: format!("t:{n}").into(), to }
}

pub(super) fn complete(job: &str, n: u64, value: &Value, keep: Keep) -> Settle {
    settle(job, n, Transition::Complete { value: raw(value), keep })
}

pub(super) fn failure(reason: &str) -> Failure {
    Failure { reason: reason.into(), stacktrace: vec![reason.into()] }
}

pub(super) fn fail(job: &str, n: u64, reason: &str, attempts: u32, keep: Keep) -> Settle {
    settle(job, n, Transition::Fail { failure: failure(reason), keep, attempts })
}

pub(super) fn retry(job: &str, n: u64, reason: &str, lifo: bool) -> Settle {
    settle(job, n, Transition::Retry { failure: failure(reason), lifo })
}

pub(super) fn backoff(job: &str, n: u64, reason: &str, delay: Duration) -> Settle {
    settle(job, n, Transition::Delay { delay, attempt: DelayedAttempt::Failed(failure(reason)) })
}

pub(super) fn delay(job: &str, n: u64, delay: Duration) -> Settle {
    settle(job, n, Transition::Delay { delay, attempt: DelayedAttempt::NotUsed })
}
