//! Background jobs that start on a file, grow onto Redis, and speak BullMQ.

mod error;
mod id;
mod job;
mod queue;
mod retry;
mod store;
mod time;
mod worker;

pub use error::{Error, ErrorKind, Refusal};
pub use id::{JobId, Prefix, QueueName};
pub use job::{
    Backoff, BackoffKind, CancelReason, IntoOutcome, Job, JobError, JobOptions, JobRecord, JobState, Keep,
    MAX_PRIORITY, Outcome, ParentRef, StoredJob,
};
pub use queue::{Adding, NewJob, Queue};
pub use store::Store;
pub use store::view::{Counts, Overview};
pub use time::Timestamp;
pub use worker::{ActiveJob, Closed, Handler, Worker, WorkerBuilder, WorkerEvent, WorkerEvents};

pub use lariat_lock::LossReason;
