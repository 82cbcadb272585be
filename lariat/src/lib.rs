//! Background jobs that start on a file, grow onto Redis, and speak BullMQ.

mod error;
mod id;
mod job;
mod retry;
mod store;
mod time;

pub use error::{Error, ErrorKind, Refusal};
pub use id::{JobId, Prefix, QueueName};
pub use job::{
    Backoff, BackoffKind, IntoOutcome, JobError, JobOptions, JobRecord, JobState, Keep, MAX_PRIORITY, Outcome,
    ParentRef, StoredJob,
};
pub use store::Store;
pub use store::view::{Counts, Overview};
pub use time::Timestamp;
