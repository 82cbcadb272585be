//! What a producer may say about a job, checked once before anything is sent.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::error::Error;
use crate::id::JobId;
use crate::time::Timestamp;

/// Highest priority number (least urgent): 2^21 - 1, BullMQ's limit, so that a score stays exact in a double.
pub const MAX_PRIORITY: u32 = (1 << 21) - 1;

/// A job's options. `Default` is: at once, one attempt, kept for ever once it has ended.
///
/// The fields are BullMQ's; options that Lariat does not know are kept in [`extra`](Self::extra) and passed on.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct JobOptions {
    /// The id to use instead of the queue's next number, by the rules of [`JobId::custom`]. Adding an id that exists adds nothing.
    pub id: Option<JobId>,
    /// How long to wait before the job may run. Zero: at once.
    pub delay: Duration,
    /// 0 (none: in order of arrival, before all others), or 1 (most urgent) to 2,097,151.
    pub priority: u32,
    /// How often the job may be tried; 0 counts as 1.
    pub attempts: u32,
    /// How long to wait before an attempt after the first. None: not at all.
    pub backoff: Option<Backoff>,
    /// Put in front of the waiting jobs rather than behind them.
    pub lifo: bool,
    /// What becomes of the job once completed; None: the worker decides, by default it is kept.
    pub remove_on_complete: Option<Keep>,
    /// What becomes of the job once failed for good; None: the worker decides, by default it is kept.
    pub remove_on_fail: Option<Keep>,
    /// How long one attempt may take, after which it is stopped and counts as failed. Lariat's own: other clients carry
    /// it along and ignore it.
    pub timeout: Option<Duration>,
    /// How many log rows to keep, the newest; None: all.
    pub keep_logs: Option<u64>,
    /// How many stack traces to keep, the newest; None: all.
    pub stack_trace_limit: Option<u64>,
    /// Most bytes that the payload may have as JSON; a larger one is refused as it is added. Nothing checks it later. None,
    /// and 0 as in BullMQ: no limit.
    pub size_limit: Option<u64>,
    /// Options that Lariat does not know, under the names they have in the store.
    pub extra: Map<String, Value>,
}

/// How long to wait before the next attempt.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Backoff {
    /// How the wait grows.
    pub kind: BackoffKind,
    /// The wait before the second attempt (BullMQ's `delay`).
    pub delay: Duration,
    /// Part of the wait that is left to chance, 0 to 1: with 0.25 the wait lies between 75 % and 100 % of what it would be.
    pub jitter: f64,
}

/// How a [`Backoff`] grows from attempt to attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackoffKind {
    /// Always the same.
    Fixed,
    /// Doubled each time: d, 2d, 4d, …
    Exponential,
    /// A strategy that the workers know by this name
    /// ([`WorkerBuilder::backoff_strategy`](crate::WorkerBuilder::backoff_strategy)).
    Custom(String),
}

impl Backoff {
    /// The same wait before each attempt.
    pub fn fixed(delay: Duration) -> Backoff {
        Backoff { kind: BackoffKind::Fixed, delay, jitter: 0.0 }
    }

    /// A wait that doubles with each attempt, starting from `delay`.
    pub fn exponential(delay: Duration) -> Backoff {
        Backoff { kind: BackoffKind::Exponential, delay, jitter: 0.0 }
    }

    /// A wait that the workers' [backoff strategy](crate::WorkerBuilder::backoff_strategy) computes; `delay` is what it
    /// makes of it. `fixed` and `exponential` name the built-in ones.
    pub fn custom(strategy: impl Into<String>, delay: Duration) -> Backoff {
        let kind = match strategy.into() {
            name if name == "fixed" => BackoffKind::Fixed,
            name if name == "exponential" => BackoffKind::Exponential,
            name => BackoffKind::Custom(name),
        };
        Backoff { kind, delay, jitter: 0.0 }
    }

    /// Leaves this part of the wait to chance (0 to 1). A strategy of your own is left alone.
    #[must_use]
    pub fn jitter(mut self, jitter: f64) -> Backoff {
        self.jitter = jitter;
        self
    }
}

/// Which ended jobs are kept (BullMQ's `removeOnComplete` and `removeOnFail`). `Default` keeps all.
///
/// Retention is applied when a job ends, to all jobs in that state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Keep {
    /// Keep at most this many, the newest; 0 keeps none.
    pub count: Option<u64>,
    /// Keep only those that ended at most this long ago, in whole seconds.
    pub age: Option<Duration>,
    /// How many may be removed for their age at one time; None: 1,000.
    pub limit: Option<u64>,
}

impl Keep {
    /// Keeps all.
    pub const ALL: Keep = Keep { count: None, age: None, limit: None };
    /// Keeps none: the job is removed as it ends.
    pub const NONE: Keep = Keep { count: Some(0), age: None, limit: None };

    /// Keeps the newest `count`.
    pub const fn last(count: u64) -> Keep {
        Keep { count: Some(count), age: None, limit: None }
    }

    /// Keeps those that ended at most `age` ago (whole seconds).
    pub const fn for_at_most(age: Duration) -> Keep {
        Keep { count: None, age: Some(age), limit: None }
    }
}

impl JobOptions {
    /// Checks every rule that does not need the store, `now` being the time of the call.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), Error> {
        if self.priority > MAX_PRIORITY {
            return Err(Error::invalid("priority", self.priority, "must be 0 to 2097151"));
        }
        if let Some(id) = &self.id {
            JobId::custom(id.shared())?;
        }
        check_due("delay", self.delay, now)?;
        if let Some(backoff) = &self.backoff {
            backoff.check(now)?;
        }
        if self.timeout.is_some_and(|timeout| timeout.as_millis() == 0) {
            return Err(Error::invalid("timeout", "0s", "must be at least 1 ms"));
        }
        Ok(())
    }
}

impl JobOptions {
    /// Checks the payload's size, by its bytes as JSON.
    pub(crate) fn check_size(&self, data: &str) -> Result<(), Error> {
        match self.size_limit {
            Some(limit) if limit > 0 && data.len() as u64 > limit => Err(Error::invalid(
                "data size",
                format!("{} bytes", data.len()),
                &format!("must be at most {limit} (the size limit)"),
            )),
            _ => Ok(()),
        }
    }
}

impl Backoff {
    fn check(&self, now: Timestamp) -> Result<(), Error> {
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(Error::invalid("backoff jitter", self.jitter, "must be between 0 and 1"));
        }
        check_due("backoff delay", self.delay, now)
    }
}

/// A due time has to lie before 2^41 ms; later ones would lose their order in the store.
pub(crate) fn check_due(field: &str, delay: Duration, now: Timestamp) -> Result<(), Error> {
    if now.after(delay) >= Timestamp::FIRST_REFUSED_DUE {
        return Err(Error::invalid(field, format!("{delay:?}"), "must end before September 2039 (2^41 ms)"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn priorities_and_delays_have_bounds() {
        let ok = JobOptions { priority: MAX_PRIORITY, delay: Duration::from_secs(3600), ..JobOptions::default() };
        assert!(ok.check(NOW).is_ok());
        let priority = JobOptions { priority: MAX_PRIORITY + 1, ..JobOptions::default() };
        assert!(priority.check(NOW).unwrap_err().to_string().contains("priority \"2097152\""));
        let longest = Timestamp::from_millis(Timestamp::FIRST_REFUSED_DUE.as_millis() - 1).since(NOW);
        let delay = JobOptions { delay: longest + Duration::from_millis(1), ..JobOptions::default() };
        assert!(delay.check(NOW).is_err());
        let delay = JobOptions { delay: longest, ..JobOptions::default() };
        assert!(delay.check(NOW).is_ok());
    }

    #[test]
    fn a_size_limit_counts_bytes_as_json_and_0_is_none() {
        let limited = |limit| JobOptions { size_limit: limit, ..JobOptions::default() };
        assert!(limited(Some(4)).check_size("\"\u{e4}\"").is_ok());
        let error = limited(Some(3)).check_size("\"\u{e4}\"").unwrap_err().to_string();
        assert_eq!(error, "data size \"4 bytes\" must be at most 3 (the size limit)");
        assert!(limited(Some(0)).check_size("12345").is_ok() && limited(None).check_size("12345").is_ok());
    }

    #[test]
    fn jitter_is_a_part() {
        for bad in [-0.1, 1.1, f64::NAN] {
            let options =
                JobOptions { backoff: Some(Backoff::fixed(Duration::ZERO).jitter(bad)), ..JobOptions::default() };
            assert!(options.check(NOW).is_err(), "{bad}");
        }
    }
}
