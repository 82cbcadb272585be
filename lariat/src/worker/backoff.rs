//! How long to wait before the next attempt, where the user has a strategy of their own.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::job::{JobError, JobRecord};
use crate::retry::{self, NextAttempt};

/// A failed attempt of a job whose backoff is neither fixed nor exponential, as a
/// [backoff strategy](crate::WorkerBuilder::backoff_strategy) sees it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct FailedAttempt<'a> {
    /// The attempts made, this one included: 1 after the first.
    pub attempts_made: u32,
    /// The strategy that the job asks for: its backoff's name.
    pub strategy: &'a str,
    /// Why the attempt failed.
    pub error: &'a JobError,
    /// The job as it was when it was taken; `job.options.backoff` has the backoff's delay.
    pub job: &'a JobRecord,
}

type Decide = dyn Fn(&FailedAttempt<'_>) -> NextAttempt + Send + Sync;

/// What the user gave; without it, no name is known.
#[derive(Clone)]
pub(crate) struct Strategy(Arc<Decide>);

impl Strategy {
    pub(crate) fn new(decide: impl Fn(&FailedAttempt<'_>) -> NextAttempt + Send + Sync + 'static) -> Strategy {
        Strategy(Arc::new(decide))
    }
}

impl fmt::Debug for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Strategy")
    }
}

/// Asks the strategy; a panic in it is an answer like another, and fails the job with words.
pub(super) fn ask(strategy: Option<&Strategy>, attempt: &FailedAttempt<'_>) -> Result<NextAttempt, String> {
    let Some(Strategy(decide)) = strategy else { return Err(retry::unknown(attempt.strategy)) };
    catch_unwind(AssertUnwindSafe(|| decide(attempt)))
        .map_err(|_| format!("the backoff strategy panicked over {:?}", attempt.strategy))
}
