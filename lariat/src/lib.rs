//! Background jobs that start on a file, grow onto Redis, and speak BullMQ.
//!
//! A producer adds jobs to a queue; a worker takes them, runs a handler for each, and hands in what became of them. The
//! jobs live in one SQLite file, with no server; or in a Redis or Valkey server in BullMQ's own layout, so that Node, Python
//! and Elixir programs share the queues both ways.
//!
//! ```no_run
//! use std::time::Duration;
//! use lariat::{Backoff, Job, JobError, Queue, Store, Worker};
//!
//! async fn welcome(job: Job) -> Result<String, JobError> {
//!     let address: String = job.data()?;
//!     if !address.contains('@') {
//!         return Err(JobError::fail("no address")); // no further attempt can help
//!     }
//!     Ok(format!("sent to {address}"))
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), lariat::Error> {
//!     let store = Store::connect("sqlite:lariat.db").await?; // or "redis://127.0.0.1"
//!
//!     let mail = Queue::new(&store, "mail")?;
//!     let id = mail
//!         .add("welcome", "ada@example.org") // the name, and any reference to a Serialize value
//!         .attempts(5)
//!         .backoff(Backoff::exponential(Duration::from_secs(1)).jitter(0.2))
//!         .await?;
//!     println!("added job {id}");
//!
//!     let worker = Worker::builder(&store, "mail").concurrency(10).start(welcome)?;
//!     tokio::signal::ctrl_c().await.ok();
//!     worker.close(Duration::from_secs(25)).await; // running jobs have so long to end; others take the rest
//!     Ok(())
//! }
//! ```
//!
//! It needs `tokio` with the features `macros`, `rt-multi-thread` and `signal`. Around it, what most programs come to:
//!
//! ```no_run
//! # async fn example(store: lariat::Store, worker: lariat::Worker) -> Result<(), lariat::Error> {
//! use std::time::Duration;
//! use lariat::{EventKind, Finished, Job, JobError, Queue, QueueEvents, WorkerEvent};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Image { path: String, width: u32 }
//!
//! async fn resize(job: Job) -> Result<u64, JobError> {
//!     let image: Image = job.data()?;
//!     job.log(format!("reading {}", image.path)).await?;
//!     let bytes = std::fs::metadata(&image.path)?; // any error is a failed attempt
//!     job.progress(&50).await?;
//!     Ok(bytes.len())
//! }
//!
//! // Added to run in a minute, before those of a larger number, and waited for.
//! let images = Queue::new(&store, "images")?;
//! let image = Image { path: "cat.png".into(), width: 640 };
//! let id = images.add("resize", &image).delay(Duration::from_secs(60)).priority(3).await?;
//! match images.wait_for(&id, Duration::from_secs(90)).await? {
//!     Finished::Completed(value) => println!("{value}"), // JSON; `serde_json::from_str(value.get())` makes a value of it
//!     Finished::Failed(reason) => eprintln!("{reason}"),
//!     other => eprintln!("{other:?}"),
//! }
//!
//! // No job starts, on any worker, until it is resumed.
//! images.pause().await?;
//! println!("{} wait", images.overview().await?.counts.unfinished());
//! images.resume().await?;
//!
//! // What this worker does; what happens in the queue, whoever does it.
//! let mut own = worker.events();
//! if let Some(WorkerEvent::Failed { id, reason }) = own.next().await {
//!     eprintln!("job {id} failed: {reason}");
//! }
//! let mut all = QueueEvents::from_now(&store, "images").await?;
//! if let EventKind::Progress { job, progress } = all.next().await?.kind {
//!     println!("job {job}: {progress}");
//! }
//! # drop(resize);
//! # Ok(()) }
//! ```
//!
//! # What is promised
//!
//! - **No job is lost.** An `add` that returned is in the store. A job whose worker dies is found and run again.
//! - **No result is accepted from a worker that lost its lock.** While a handler runs, its job is leased by a lock with a
//!   time to live, kept alive by [`lariat_lock`]. The store takes a result only from the holder of the lock.
//!
//! Effects outside the store happen at least once: a worker that lost its lock may have done part of its work before it
//! was stopped. [`Job::starts`] grows with each run and can serve as a fencing value towards other stores.
//!
//! # Where to look
//!
//! | | |
//! |---|---|
//! | [`Store`] | where jobs live |
//! | [`Queue`], [`NewJob`], [`JobOptions`], [`Backoff`] | adding jobs, looking into a queue, setting how it is worked |
//! | [`JobEdit`] | changing one job: promote, retry, remove, … |
//! | [`Finished`] | waiting for a job's end |
//! | [`Worker`], [`WorkerBuilder`], [`WorkerEvent`], [`Health`], [`LockMetrics`] | running them |
//! | [`Router`] | handlers by the name of the job, with shared state |
//! | [`Job`], [`Outcome`], [`JobError`], [`CancelReason`] | inside a handler |
//! | [`Manual`], [`TakenJob`] | a loop of your own instead of handlers |
//! | [`QueueEvents`] | what happens in a queue, whoever does it |
//! | [`JobRecord`], [`JobState`], [`Overview`] | what is stored |
//! | [`testing`] | testing handlers, and code that adds jobs |
//! | [`telemetry`] | what is told to `tracing` |
//! | [`Error`] | the one error |
//!
//! `examples/` has a program of one screen for each of: hello, retry and backoff, a router with state, taking by hand.
//!
//! # Coming from BullMQ
//!
//! | in BullMQ for Node | here |
//! |---|---|
//! | `new Queue("mail", { connection })` | [`Queue::new`] |
//! | `queue.add(name, data, { attempts, delay, … })`, `addBulk` | [`Queue::add`] with setters, [`Queue::add_bulk`] |
//! | `new Worker("mail", async job => …, { concurrency })` | [`Worker::builder`], then [`start`](WorkerBuilder::start) |
//! | a `switch` over `job.name` | [`Router`] |
//! | `throw new Error(…)`, `UnrecoverableError` | any error, [`JobError::fail`] |
//! | `moveToDelayed` and `DelayedError`, `moveToWaitingChildren` and its error, `WaitingError` | [`Outcome`] |
//! | `job.updateProgress`, `job.log`, `job.updateData` | [`Job::progress`], [`Job::log`], [`Job::update_data`] |
//! | the processor's `signal`, `worker.cancelJob` | [`Job::cancelled`], [`Worker::cancel`] |
//! | `settings.backoffStrategy` | [`WorkerBuilder::backoff_strategy`] |
//! | `worker.on("completed", …)`, `new QueueEvents("mail")` | [`Worker::events`], [`QueueEvents::from_now`] |
//! | `job.waitUntilFinished(queueEvents, ttl)` | [`Queue::wait_for`] |
//! | `worker.getNextJob(token)`, `job.moveToCompleted(…)` | [`Manual::take`], [`TakenJob::complete`], [`TakenJob::complete_and_take`] |
//! | `job.retry`, `promote`, `remove`, `changeDelay`, `changePriority` | [`Queue::edit`] |
//! | `queue.getJob`, `getJobs`, `getJobCounts`, `getJobLogs`, `getWorkers`, `getMetrics` | [`Queue::job`], [`jobs`](Queue::jobs), [`overview`](Queue::overview), [`logs`](Queue::logs), [`workers`](Queue::workers), [`metrics`](Queue::metrics) |
//! | `queue.pause`, `resume`, `setGlobalConcurrency`, `setGlobalRateLimit` | the same, in snake case |
//! | `worker.concurrency = n` | [`Worker::set_concurrency`] |
//! | `worker.close()` | [`Worker::close`], with a grace |
//! | `telemetry: new BullMQOtel(…)` | [`telemetry`], with a layer for `tracing` of your choice |

mod error;
mod events;
mod id;
mod job;
mod queue;
mod retry;
mod router;
mod store;
pub mod telemetry;
#[cfg(feature = "sqlite")]
pub mod testing;
mod time;
mod worker;

/// The first page's code, compiled with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

pub use lariat_lock::{Calls, Histogram, LockMetrics, LossReason, Losses};
/// The SQLite that the store uses, for transactions of your own ([`Queue::add_in`], [`Job::complete_in`]). Two copies of
/// SQLite in one process that use one file would damage it, so take this one.
#[cfg(feature = "sqlite")]
pub use rusqlite;

pub use error::{Error, ErrorKind, Refusal};
pub use events::{EventKind, QueueEvent, QueueEvents};
pub use id::{JobId, Prefix, QueueName};
pub use job::{
    Backoff, BackoffKind, CancelReason, IntoOutcome, Job, JobError, JobOptions, JobRecord, JobState, Keep,
    MAX_PRIORITY, Outcome, ParentRef, StoredJob,
};
#[cfg(feature = "sqlite")]
pub use job::{Committed, Completing};
#[cfg(feature = "sqlite")]
pub use queue::AddingIn;
pub use queue::{Adding, Finished, JobEdit, Manual, ManualBuilder, NewJob, Queue, Reprocess, TakenJob};
pub use retry::NextAttempt;
pub use router::{Route, Router, TakesJob, TakesState};
pub use store::exchange::RateLimit;
pub use store::view::{Counts, DamagedJob, HeldJob, JobPage, LogPage, Metrics, Overview, WorkerInfo};
pub use store::{Capabilities, Outlives, Store};
pub use time::Timestamp;
pub use worker::{
    ActiveJob, Closed, FailedAttempt, Handler, Health, HealthProblem, StopReason, Worker, WorkerBuilder, WorkerEvent,
    WorkerEvents,
};
