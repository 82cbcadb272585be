//! The handle that a handler gets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lariat_lock::{BoxFuture, LossReason};
#[cfg(feature = "sqlite")]
use rusqlite::Transaction;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

#[cfg(feature = "sqlite")]
use super::completing::Completing;
#[cfg(feature = "sqlite")]
use super::options::Keep;
use super::record::JobRecord;
use crate::error::{Error, ErrorKind};
use crate::id::JobId;
use crate::retry;

/// Why a handler should stop.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelReason {
    /// The job's lock is gone, or could not be renewed in time: another worker may have the job. Its result will not be
    /// sent.
    LockLost(LossReason),
    /// The attempt took longer than the job's `timeout`. It counts as failed.
    TimedOut,
    /// The worker closes and its grace is over. A handler that still returns is believed; one that does not is dropped,
    /// and its job put back.
    Closing,
    /// Somebody asked for it, with this reason. The job fails for good.
    Requested(String),
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CancelReason::LockLost(reason) => write!(f, "lock lost: {reason}"),
            CancelReason::TimedOut => f.write_str("timed out"),
            CancelReason::Closing => f.write_str("the worker is closing"),
            CancelReason::Requested(reason) => f.write_str(reason),
        }
    }
}

/// What stands behind a [`Job`] while it runs: the lease, the cancel signal, and the way to the store. The worker
/// provides it, so that a job need not know one.
pub(crate) trait Held: Send + Sync {
    fn token(&self) -> &str;
    fn cancelled(&self) -> BoxFuture<'_, CancelReason>;
    fn cancel_reason(&self) -> Option<CancelReason>;
    /// How long the lock is still trusted; zero once it is lost or handed in.
    fn lock_left(&self) -> Duration;
    fn progress(&self, value: Box<RawValue>) -> BoxFuture<'_, Result<(), Error>>;
    fn replace_data(&self, value: Box<RawValue>) -> BoxFuture<'_, Result<(), Error>>;
    fn log(&self, rows: Vec<String>) -> BoxFuture<'_, Result<(), Error>>;

    /// Completes the job in the transaction; `keep` is the job's own rule. From here on it is settling.
    #[cfg(feature = "sqlite")]
    fn complete_in(&self, tx: &Transaction<'_>, value: Box<RawValue>, keep: Option<Keep>) -> Result<(), Error>;

    /// Commits a transaction in which the job was completed.
    #[cfg(feature = "sqlite")]
    fn commit(&self, tx: Transaction<'_>) -> Result<(), Error>;

    /// A transaction in which the job was completed has ended without a commit.
    #[cfg(feature = "sqlite")]
    fn rolled_back(&self);
}

/// A job while it is being run: its payload, its signal to stop, and what it may report. Cheap to clone.
#[derive(Clone)]
pub struct Job {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Arc<str>,
    record: JobRecord,
    held: Arc<dyn Held>,
}

impl Job {
    pub(crate) fn new(queue: Arc<str>, record: JobRecord, held: Arc<dyn Held>) -> Job {
        Job { inner: Arc::new(Inner { queue, record, held }) }
    }

    /// Its id, unique within its queue.
    pub fn id(&self) -> &JobId {
        &self.inner.record.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.record.name
    }

    /// The name of its queue.
    pub fn queue(&self) -> &str {
        &self.inner.queue
    }

    /// The record as it was when the job was taken.
    pub fn record(&self) -> &JobRecord {
        &self.inner.record
    }

    /// The payload, as a `T`.
    ///
    /// A payload of another form is an error that `?` turns into a failed attempt; where no attempt can succeed, say so
    /// with `.map_err(|e| JobError::fail(e.to_string()))`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.inner.record.data()
    }

    /// Which attempt this is: 1 for the first. Runs that used no attempt (delayed by the handler, put back) do not count.
    pub fn attempt(&self) -> u32 {
        self.inner.record.attempts_made.saturating_add(1)
    }

    /// How many times the job was started, this run included. It grows with every run and so can serve as a fencing
    /// value towards other stores.
    pub fn starts(&self) -> u32 {
        self.inner.record.attempts_started
    }

    /// The token that this run holds the job's lock with. Whoever knows it can end the job: treat it as a secret.
    pub fn token(&self) -> &str {
        self.inner.held.token()
    }

    /// Resolves when the handler should stop, with the reason. The handler may go on for a short grace; then its future
    /// is dropped. Cancel safe.
    pub async fn cancelled(&self) -> CancelReason {
        self.inner.held.cancelled().await
    }

    /// The reason to stop, when there is one.
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.inner.held.cancel_reason()
    }

    /// How long the job's lock is trusted if no renewal succeeds from here on. Zero once it is lost.
    pub fn lock_left(&self) -> Duration {
        self.inner.held.lock_left()
    }

    /// How long the job's backoff would wait before the next attempt, were this one to fail. None without a backoff,
    /// and where a strategy of the worker's own decides.
    pub fn next_backoff(&self) -> Option<Duration> {
        let backoff = self.inner.record.options.backoff.as_ref()?;
        retry::delay(backoff, self.attempt(), fastrand::f64()).ok()
    }

    /// Reports how far the job is, as any JSON value; announced as a `progress` event.
    ///
    /// Refused without any I/O once the lock is lost, and by the store when it finds another holder. Not cancel safe: a
    /// dropped call may or may not have been made.
    pub async fn progress<T: Serialize + ?Sized>(&self, progress: &T) -> Result<(), Error> {
        self.inner.held.progress(self.as_json("progress", progress)?).await
    }

    /// Replaces the job's payload in the store, for a later attempt to go on from; this handle keeps the one it has.
    /// Refused as [`progress`](Self::progress) is.
    pub async fn update_data<T: Serialize + ?Sized>(&self, data: &T) -> Result<(), Error> {
        self.inner.held.replace_data(self.as_json("data", data)?).await
    }

    #[cfg(feature = "sqlite")]
    pub(super) fn held(&self) -> &Arc<dyn Held> {
        &self.inner.held
    }

    pub(super) fn as_json<T: Serialize + ?Sized>(&self, what: &str, value: &T) -> Result<Box<RawValue>, Error> {
        to_raw_value(value).map_err(|e| {
            Error::new(ErrorKind::Data, format!("the {what} cannot be written as JSON")).for_job(self.id()).because(e)
        })
    }

    /// Appends a row to the job's log. Refused as [`progress`](Self::progress) is.
    pub async fn log(&self, row: impl Into<String>) -> Result<(), Error> {
        self.log_rows(vec![row.into()]).await
    }

    /// Appends several rows to the job's log in one call. Refused as [`progress`](Self::progress) is.
    pub async fn log_rows(&self, rows: Vec<String>) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        self.inner.held.log(rows).await
    }

    /// Completes the job in a transaction, with this result: with its [`commit`](Completing::commit) the job is completed and
    /// what else was written in it is kept, without it neither. A crash can come before both or after both.
    ///
    /// The transaction is one of your own, on a connection of your own to the queue's file
    /// ([`Capabilities::transactions`](crate::Capabilities)); begin it with `BEGIN IMMEDIATE`. Return the receipt of its
    /// commit from the handler.
    ///
    /// ```
    /// use lariat::rusqlite::{Connection, TransactionBehavior};
    /// use lariat::{Committed, Job, JobError};
    ///
    /// fn charge(db: &mut Connection, job: &Job) -> Result<Committed, JobError> {
    ///     let cents: i64 = job.data()?;
    ///     let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    ///     tx.execute("UPDATE account SET cents = cents - ?1", [cents])?;
    ///     Ok(job.complete_in(tx, &"charged")?.commit()?)
    /// }
    /// ```
    ///
    /// The store judges here whether this run still holds the job's lock. An error has completed nothing, and the transaction
    /// is rolled back with all that was written in it; the handler may go on, fail, or try again:
    ///
    /// - A [`refusal`](Error::refusal), or the kind [`Closed`](ErrorKind::Closed): the lock is lost, the handler was told to
    ///   stop (other than by a closing worker), or the job has ended.
    /// - [`Unsupported`](ErrorKind::Unsupported), [`Invalid`](ErrorKind::Invalid), [`Unreachable`](ErrorKind::Unreachable): as
    ///   with [`AddingIn::write`](crate::AddingIn::write).
    /// - [`Data`](ErrorKind::Data): the result cannot be written as JSON.
    ///
    /// It blocks for as long as SQLite does: in a worker with other things to do, call it from
    /// [`spawn_blocking`](tokio::task::spawn_blocking). Nobody else can write the file while the transaction is open, to renew a
    /// lock either: one that is longer than locks are trusted (24 of their 30 s, unless set) costs all jobs that run on this file their locks.
    #[cfg(feature = "sqlite")]
    pub fn complete_in<'c, T: Serialize + ?Sized>(
        &self,
        tx: Transaction<'c>,
        value: &T,
    ) -> Result<Completing<'c>, Error> {
        Completing::new(self, tx, value)
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("queue", &self.queue())
            .field("id", self.id())
            .field("name", &self.name())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}
