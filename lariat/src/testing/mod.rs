//! For tests of programs that use Lariat: a store in memory, whose clock only the test moves, and whose queues are worked
//! off when the test says so.
//!
//! ```
//! use std::time::Duration;
//! use lariat::testing::{RunEnd, TestStore};
//! use lariat::{Backoff, Job, JobError, Queue};
//!
//! async fn welcome(job: Job) -> Result<String, JobError> {
//!     match job.attempt() {
//!         1 => Err(JobError::retry("mail server too busy")),
//!         _ => Ok(format!("sent to {}", job.data::<String>()?)),
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), lariat::Error> {
//! let store = TestStore::new();
//! // The code under test: it gets `&store` where it takes a `&Store`.
//! let mail = Queue::new(&store, "mail")?;
//! mail.add("welcome", "ada@example.org").attempts(3).backoff(Backoff::fixed(Duration::from_secs(60))).await?;
//!
//! store.assert_added("mail", "welcome", "ada@example.org").await;
//!
//! let first = store.drain("mail", welcome).await?;
//! assert!(matches!(&first.runs[0].end, RunEnd::Retrying { reason, .. } if reason == "mail server too busy"));
//! assert!(store.drain("mail", welcome).await?.runs.is_empty(), "its minute is not over");
//! store.advance(Duration::from_secs(60));
//! store.drain("mail", welcome).await?.assert_all_completed();
//! # Ok(()) }
//! ```
//!
//! `docs/guides/testing.md` says more.
//!
//! What may not be in this folder: a way of its own to take, run or settle a job.

mod added;
mod drain;

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

pub use self::drain::{Drained, Run, RunEnd};
use crate::store::Store;
use crate::time::{Clock, Timestamp};

/// A [`Store`] in memory for one test: empty at first, gone with the test, and with a clock that stands still until the test
/// [moves](Self::advance) it. It derefs to the store, so `&test_store` goes where a `&Store` is wanted; whoever wants one to
/// keep gets a [clone](Store::clone) of it.
///
/// Delays, backoffs, ages of kept jobs and timestamps go by this clock. Timeouts, locks, windows of rate limits, and what a
/// handler waits for by itself take real time. Do not pause Tokio's clock
/// (`start_paused`): the store answers from a thread of its own, and calls would time out before it has.
///
/// A [`Worker`](crate::Worker) may be started on it as well; [`drain`](Self::drain) is quicker and runs jobs in a fixed
/// order.
pub struct TestStore {
    store: Store,
    clock: Clock,
}

impl TestStore {
    /// An empty store; its clock shows the present time. No I/O; tests that run at the same time do not meet.
    #[expect(clippy::new_without_default, reason = "a store is nothing that one has by default")]
    pub fn new() -> TestStore {
        let clock = Clock::standing();
        TestStore { store: Store::in_memory(clock.clone()), clock }
    }

    /// What its clock shows.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves its clock on. Jobs that are due by then run at the next [`drain`](Self::drain).
    pub fn advance(&self, by: Duration) {
        self.clock.move_to(self.now().after(by));
    }
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl fmt::Debug for TestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestStore({})", self.now())
    }
}

/// The guide's code, compiled and run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/testing.md")]
struct Guide;
