//! A job: what it is, where it is, and the handle that its handler gets.
//!
//! What may not be in this folder: how jobs are stored or scheduled.

#[cfg(feature = "sqlite")]
mod completing;
mod handle;
mod options;
mod outcome;
mod record;
mod state;

#[cfg(feature = "sqlite")]
pub use completing::{Committed, Completing};
pub(crate) use handle::Held;
pub use handle::{CancelReason, Job};
pub(crate) use options::check_due;
pub use options::{Backoff, BackoffKind, JobOptions, Keep, MAX_PRIORITY};
#[cfg(test)]
pub(crate) use outcome::MOST_RESULT;
pub(crate) use outcome::check_size;
pub use outcome::{IntoOutcome, JobError, Outcome};
pub use record::{JobRecord, ParentRef, StoredJob};
pub use state::JobState;
