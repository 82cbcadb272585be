//! One step, told to both sides: taking a job, its end, and what only BullMQ does so far.

use interop::keyspace::{differences, dump_with};
use lariat_lock::{Claim, Verdict as LockVerdict};

use super::*;
use crate::store::exchange::{Recover, Recovered, Verdict};

/// How a job ends that both sides took. What is kept of it, its own options say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum End {
    Completed,
    Failed,
    Retried { lifo: bool },
    BackedOff(u64),
    Delayed(u64),
    WaitsForChildren,
    PutBack,
}

/// A job that both sides took, with token `t:<n>`.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) id: String,
    pub(super) n: u64,
    locked: bool,
    attempts: u32,
    keep: (Keep, Keep),
    traces: Vec<String>,
}

impl Held {
    fn token(&self) -> String {
        if self.locked { format!("t:{}", self.n) } else { "0".into() }
    }

    /// The same job in the hands of somebody who takes no locks.
    pub(super) fn without_lock(&self) -> Held {
        Held { locked: false, ..self.clone() }
    }

    /// The same job with a token that nobody has.
    pub(super) fn stolen(&self) -> Held {
        Held { n: 999_999, ..self.clone() }
    }

    /// A job that does not exist.
    pub(super) fn nobody() -> Held {
        Held { id: "nobody".into(), n: 1, locked: true, attempts: 0, keep: (Keep::ALL, Keep::ALL), traces: Vec::new() }
    }

    fn failure(&self) -> Failure {
        let mut stacktrace = self.traces.clone();
        stacktrace.push("boom".into());
        Failure { reason: "boom".into(), stacktrace }
    }

    pub(super) fn value(&self) -> Value {
        json!({"by": self.id, "at": [1.5, null, "\u{e9}"]})
    }

    pub(super) fn ours(&self, end: End) -> Settle {
        let to = match end {
            End::Completed => Transition::Complete { value: raw(&self.value()), keep: self.keep.0 },
            End::Failed => Transition::Fail { failure: self.failure(), keep: self.keep.1, attempts: self.attempts },
            End::Retried { lifo } => Transition::Retry { failure: self.failure(), lifo },
            End::BackedOff(ms) => {
                Transition::Delay { delay: Duration::from_millis(ms), attempt: DelayedAttempt::Failed(self.failure()) }
            }
            End::Delayed(ms) => {
                Transition::Delay { delay: Duration::from_millis(ms), attempt: DelayedAttempt::NotUsed }
            }
            End::WaitsForChildren => Transition::WaitForChildren,
            End::PutBack => Transition::PutBack,
        };
        Settle { id: id(&self.id), token: self.token().into(), to }
    }

    fn theirs(&self, end: End, now: u64) -> Value {
        let (id, token) = (&self.id, self.token());
        let fields = json!({"failedReason": "boom", "stacktrace": json!(self.failure().stacktrace).to_string()});
        match end {
            End::Completed => {
                json!({"op": "moveToCompleted", "id": id, "value": self.value(), "token": token, "now": now})
            }
            End::Failed => {
                let error = json!({"message": "boom", "stack": "boom", "unrecoverable": true});
                json!({"op": "moveToFailed", "id": id, "error": error, "token": token, "now": now})
            }
            End::Retried { lifo } => {
                json!({"op": "retry", "id": id, "lifo": lifo, "token": token, "fields": fields, "now": now})
            }
            End::BackedOff(ms) => {
                let args = json!([id, now, ms, token, {"fieldsToUpdate": fields}]);
                json!({"op": "backend", "method": "moveToDelayed", "args": args, "now": now})
            }
            End::Delayed(ms) => {
                json!({"op": "moveToDelayed", "id": id, "timestamp": now + ms, "token": token, "now": now})
            }
            End::WaitsForChildren => json!({"op": "moveToWaitingChildren", "id": id, "token": token, "now": now}),
            End::PutBack => json!({"op": "moveToWait", "id": id, "token": token, "now": now}),
        }
    }
}

impl Both {
    /// Takes one job on both sides, as [`fetch`](Both::fetch).
    #[track_caller]
    pub(super) fn take(&self, n: u64, now: u64) -> Option<Held> {
        let theirs = self.theirs(json!({"op": "fetch", "token": format!("t:{n}"), "now": now}));
        let held = held(&self.ours(vec![], 1, n, now), n);
        assert_eq!(theirs["job"]["id"].as_str(), held.first().map(|held| held.id.as_str()), "{theirs}");
        held.into_iter().next()
    }

    /// Takes the job that must be there.
    #[track_caller]
    pub(super) fn hold(&self, n: u64, now: u64) -> Held {
        self.take(n, now).expect("a job to take")
    }

    /// What BullMQ's verdict would be as ours.
    #[track_caller]
    pub(super) fn their_end(&self, held: &Held, end: End, now: u64) -> Verdict {
        let mut step = held.theirs(end, now);
        step["queue"] = "q".into();
        step["worker"] = self.worker();
        match self.pair.try_theirs(step) {
            Ok(Value::Bool(false)) if end == End::WaitsForChildren => Verdict::Resume,
            Ok(_) => Verdict::Accepted,
            Err(error) => {
                let code = error.code.unwrap_or_else(|| panic!("an error without a code: {error}"));
                Verdict::Refused(Refusal::from_code(code).unwrap())
            }
        }
    }

    /// Ends a job on both sides, with the same verdict.
    #[track_caller]
    pub(super) fn end(&self, held: &Held, end: End, now: u64) -> Verdict {
        let theirs = self.their_end(held, end, now);
        let ours = self.ours(vec![held.ours(end)], 0, 0, now);
        assert_eq!(ours.verdicts, [theirs], "{end:?} of {held:?}");
        assert!(ours.dropped.is_empty(), "{:?}", ours.dropped);
        ours.verdicts.into_iter().next().unwrap()
    }

    /// The same step of BullMQ's on both databases, for what only BullMQ does so far. An error is its code.
    #[track_caller]
    pub(super) fn by_node(&self, mut step: Value) -> Result<Value, Option<i64>> {
        step["worker"] = self.worker();
        if step["queue"].is_null() {
            step["queue"] = "q".into();
        }
        let second = self.second.get_or_init(|| interop::node::NodeBull::start(&self.pair.ours()));
        let theirs = self.pair.try_theirs(step.clone()).map_err(|error| error.code);
        let ours = second.try_call(step).map_err(|error| error.code);
        assert_eq!(theirs, ours, "the grounds had come apart");
        ours
    }

    /// One search for stalled jobs on both sides, whenever the last one was.
    #[track_caller]
    pub(super) fn search(&self, now: u64) -> Vec<String> {
        self.both(&[&["DEL", "bull:q:stalled-check"]]);
        let theirs = self.theirs(json!({"op": "moveStalledJobsToWait", "now": now}));
        let (mut ids, mut found) = (Vec::<String>::new(), Recovered::default());
        loop {
            let recover = Recover { now: at(now), max_stalled: 1, interval: LOCK, after: found.more };
            found = self.runtime.block_on(self.queue.recover(&recover)).unwrap();
            ids.extend(found.ids.iter().map(ToString::to_string));
            if found.more.is_none() {
                break;
            }
        }
        // BullMQ goes through a set, we through `active` from its end.
        let sorted = |ids: &mut Vec<String>| ids.sort_unstable();
        let mut their_ids: Vec<String> = serde_json::from_value(theirs).unwrap();
        sorted(&mut their_ids);
        let mut our_ids = ids.clone();
        sorted(&mut our_ids);
        assert_eq!(their_ids, our_ids);
        ids
    }

    /// Extends locks on both sides; returns the ids that were not.
    #[track_caller]
    pub(super) fn extend(&self, locks: &[(&str, &str)], life: Duration) -> Vec<String> {
        let (ids, tokens): (Vec<&str>, Vec<&str>) = locks.iter().copied().unzip();
        let ms = u64::try_from(life.as_millis()).unwrap();
        let theirs = self.theirs(json!({"op": "extendLocks", "ids": ids, "tokens": tokens, "duration": ms}));
        let claims: Vec<Claim> =
            locks.iter().map(|(id, token)| Claim { id: (*id).into(), token: (*token).into() }).collect();
        let store = Store::open(&self.pair.ours()).unwrap().locks("q").unwrap();
        let verdicts = self.runtime.block_on(store.extend(&claims, life)).unwrap();
        let failed = ids.iter().zip(verdicts).filter(|(_, verdict)| *verdict != LockVerdict::Extended);
        let ours: Vec<String> = failed.map(|(id, _)| (*id).to_owned()).collect();
        assert_eq!(theirs, json!(ours));
        ours
    }

    /// The record that we have stored.
    #[track_caller]
    pub(in crate::store::redis) fn stored(&self, job: &str) -> crate::JobRecord {
        self.runtime.block_on(self.queue.job(&id(job))).unwrap().expect("a record").record
    }

    /// Both databases empty again: cheaper than another pair of programs.
    pub(super) fn wipe(&self) {
        self.both(&[&["FLUSHDB"]]);
    }

    /// The same except for these keys, which must differ: a difference that is meant and has gone is told too.
    #[track_caller]
    pub(super) fn assert_same_but(&self, keys: &[&str]) {
        let found = self.pair.differences();
        let differ: Vec<&str> = found
            .lines()
            .filter(|line| line.starts_with("bull:"))
            .map(|line| line.split(' ').next().unwrap_or(line))
            .collect();
        assert_eq!(differ, keys, "{found}");
    }

    /// The differences where `drained` does not count and jobs may interleave: for batches.
    pub(super) fn differences_of_a_batch(&self) -> String {
        let script = "for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
            if entry[2][2] == 'drained' then redis.call('XDEL', KEYS[1], entry[1]) end end";
        self.both(&[&["EVAL", script, "1", "bull:q:events"]]);
        let options = Options::default().without_key(":marker").events_in_any_order();
        let ours = dump_with(&self.pair.ours(), &options);
        differences(&dump_with(&self.pair.theirs_url(), &options), &ours)
    }
}

/// Jobs as ours handed them out, the first with token `t:<first>`.
pub(super) fn held(exchanged: &Exchanged, first: u64) -> Vec<Held> {
    assert!(exchanged.dropped.is_empty(), "{:?}", exchanged.dropped);
    let one = |(n, job): (u64, &crate::store::exchange::Taken)| {
        assert_eq!(&*job.token, format!("t:{n}"));
        let record = job.record.as_ref().unwrap();
        let keep = |keep: Option<Keep>| keep.unwrap_or(Keep::ALL);
        Held {
            id: job.id.to_string(),
            n,
            locked: true,
            attempts: record.options.attempts,
            keep: (keep(record.options.remove_on_complete), keep(record.options.remove_on_fail)),
            traces: record.stacktrace.clone(),
        }
    };
    (first..).zip(&exchanged.jobs).map(one).collect()
}
