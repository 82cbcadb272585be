//! What a handler says of its job.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::error::chain;

/// Most bytes that a result may have as JSON. Redis ends a connection that sends 512 MB at once, SQLite takes 1 GB a row.
pub(crate) const MOST_RESULT: usize = 64 << 20;

/// How a handler's run ended when it did not fail. A handler may return any serialisable value, which means
/// [`Outcome::Done`] with that value; it returns an `Outcome` where it wants something else. Control flow is no error.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The work is done, with this result.
    Done(Box<RawValue>),
    /// Run the job again after this time. It uses no attempt.
    Delay(Duration),
    /// Wait until the job's children have ended, then run it again. When none is pending it runs again at once.
    WaitForChildren,
    /// Put the job back in front of the queue, as if it had not been taken. It uses no attempt.
    PutBack,
    /// The job has been completed already, in a transaction that is committed ([`Job::complete_in`](super::Job::complete_in)).
    #[cfg(feature = "sqlite")]
    Committed(super::Committed),
}

impl Outcome {
    /// Done, with a value. Fails when the value cannot be written as JSON, or has more than 64 MiB as JSON.
    pub fn done<T: Serialize + ?Sized>(value: &T) -> Result<Outcome, JobError> {
        match to_raw_value(value) {
            Ok(value) => check_size(&value).map(|()| Outcome::Done(value)),
            Err(error) => Err(JobError::fail(format!("the result cannot be written as JSON: {error}"))),
        }
    }
}

/// A result that no store could take fails its attempt, rather than every call that it would ride in.
pub(crate) fn check_size(value: &RawValue) -> Result<(), JobError> {
    let size = value.get().len();
    if size <= MOST_RESULT {
        return Ok(());
    }
    Err(JobError::retry(format!("the result has {size} bytes as JSON: at most {MOST_RESULT} are stored")))
}

/// What a handler may return: any `Serialize` value, or an [`Outcome`].
pub trait IntoOutcome {
    /// Turns it into an outcome.
    fn into_outcome(self) -> Result<Outcome, JobError>;
}

impl<T: Serialize> IntoOutcome for T {
    fn into_outcome(self) -> Result<Outcome, JobError> {
        Outcome::done(&self)
    }
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Result<Outcome, JobError> {
        Ok(self)
    }
}

/// Why an attempt failed, and whether another one makes sense.
///
/// Any error converts into one with `?` and means *try again*, as far as the job's attempts go. [`JobError::fail`] says
/// that no further attempt can help (BullMQ's `UnrecoverableError`).
pub struct JobError {
    reason: String,
    retry: bool,
}

impl JobError {
    /// This attempt failed; another one may succeed.
    pub fn retry(reason: impl Into<String>) -> JobError {
        JobError { reason: reason.into(), retry: true }
    }

    /// The job has failed for good, whatever attempts are left.
    pub fn fail(reason: impl Into<String>) -> JobError {
        JobError { reason: reason.into(), retry: false }
    }

    /// Why it failed.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether another attempt makes sense.
    pub fn may_retry(&self) -> bool {
        self.retry
    }

    /// What a handler's boxed error means: itself when it is a `JobError`, else a failed attempt with its words.
    pub(crate) fn from_boxed(error: Box<dyn StdError + Send + Sync>) -> JobError {
        match error.downcast::<Carried>() {
            Ok(carried) => carried.0,
            Err(other) => JobError::retry(chain(&*other)),
        }
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for JobError {
    fn from(error: E) -> JobError {
        JobError::from_boxed(Box::new(error))
    }
}

impl From<JobError> for Box<dyn StdError + Send + Sync> {
    fn from(error: JobError) -> Self {
        Box::new(Carried(error))
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.retry { "retry" } else { "fail" };
        write!(f, "JobError::{kind}({:?})", self.reason)
    }
}

/// `JobError` itself is no `std::error::Error`, or it could not convert from every other; this carries it where one is
/// needed.
struct Carried(JobError);

impl StdError for Carried {}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(error: impl Into<Box<dyn StdError + Send + Sync>>) -> JobError {
        JobError::from_boxed(error.into())
    }

    #[test]
    fn a_job_error_survives_boxing_and_others_mean_retry() {
        assert!(!boxed(JobError::fail("no such user")).may_retry());
        let text = boxed("plain words");
        assert!(text.may_retry());
        assert_eq!(text.reason(), "plain words");
        let io = boxed(std::io::Error::other("disk"));
        assert_eq!((io.reason(), io.may_retry()), ("disk", true));
    }

    #[test]
    fn the_question_mark_converts_any_error() {
        fn handler() -> Result<u32, JobError> {
            Ok("x".parse::<u32>()?)
        }
        assert!(handler().unwrap_err().may_retry());
    }

    #[test]
    fn values_and_outcomes_both_return() {
        assert!(matches!(vec![1, 2].into_outcome().unwrap(), Outcome::Done(v) if v.get() == "[1,2]"));
        assert!(matches!(().into_outcome().unwrap(), Outcome::Done(v) if v.get() == "null"));
        assert!(matches!(Outcome::PutBack.into_outcome().unwrap(), Outcome::PutBack));
    }
}
