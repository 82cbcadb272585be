//! A job: what it is, where it is, and the handle that its handler gets.
//!
//! What may not be in this folder: how jobs are stored or scheduled.

mod options;
mod outcome;
mod record;
mod state;

pub use options::{Backoff, BackoffKind, JobOptions, Keep, MAX_PRIORITY};
pub use outcome::{IntoOutcome, JobError, Outcome};
pub use record::{JobRecord, ParentRef, StoredJob};
pub use state::JobState;
