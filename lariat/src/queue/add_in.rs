//! Jobs that are added in a transaction of the caller's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Transaction;
use serde::Serialize;

use super::Queue;
use super::add::{NewJob, setters};
use crate::error::{Error, ErrorKind};
use crate::id::JobId;
use crate::job::{Backoff, JobOptions, Keep};
use crate::telemetry;

/// A job about to be added in a transaction: [`write`](Self::write) it. Made by [`Queue::add_in`].
#[must_use = "a job is added when this is written"]
pub struct AddingIn<'a> {
    queue: &'a Queue,
    tx: &'a Transaction<'a>,
    job: NewJob,
}

/// In a transaction of your own, on a connection of your own to the queue's file
/// ([`Capabilities::transactions`](crate::Capabilities)).
impl Queue {
    /// Adds a job in a transaction: with its commit the job is there, together with what else was written in it; before, and
    /// where it is rolled back, there is nothing of it. Options as with [`add`](Self::add), then [`write`](AddingIn::write).
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use lariat::rusqlite::{Connection, TransactionBehavior};
    /// use lariat::{Queue, Store};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("shop.db");
    /// let store = Store::connect(&format!("sqlite:{}", path.display())).await?;
    /// let mail = Queue::new(&store, "mail")?;
    ///
    /// let mut db = Connection::open(&path)?;
    /// db.execute_batch("CREATE TABLE customer (address TEXT NOT NULL)")?;
    ///
    /// let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    /// tx.execute("INSERT INTO customer VALUES ('ada@example.org')", [])?;
    /// let id = mail.add_in(&tx, "welcome", &"ada@example.org").attempts(5).write()?;
    /// assert!(mail.job(&id).await?.is_none(), "not before the commit");
    /// tx.commit()?;
    /// assert!(mail.job(&id).await?.is_some());
    /// # Ok(()) }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
    /// ```
    pub fn add_in<'a, T: Serialize + ?Sized>(
        &'a self,
        tx: &'a Transaction<'_>,
        name: impl Into<String>,
        data: &T,
    ) -> AddingIn<'a> {
        AddingIn { queue: self, tx, job: NewJob::new(name, data) }
    }

    /// Adds many jobs in a transaction, all or, with an error, none; the ids come in the order of the jobs. Otherwise as
    /// [`AddingIn::write`].
    pub fn add_bulk_in(
        &self,
        tx: &Transaction<'_>,
        jobs: impl IntoIterator<Item = NewJob>,
    ) -> Result<Vec<JobId>, Error> {
        let write = || {
            let now = self.clock.now();
            let jobs = jobs.into_iter().map(|job| job.checked(now)).collect::<Result<Vec<_>, _>>()?;
            let _span = telemetry::add_bulk(self.name.as_str(), jobs.len()).entered();
            self.backend.join()?.add_in(tx, &jobs)
        };
        write().map_err(|e| e.in_queue(&self.name))
    }
}

impl<'a> AddingIn<'a> {
    fn set(mut self, set: impl FnOnce(&mut JobOptions)) -> AddingIn<'a> {
        self.job = self.job.set(set);
        self
    }

    fn set_id(mut self, id: Arc<str>) -> AddingIn<'a> {
        self.job = self.job.set_id(id);
        self
    }

    /// Writes the job. It is done when this returns: no `.await`, since the connection is yours, and it blocks for as long
    /// as SQLite does.
    ///
    /// Ids are given as with an awaited add, one of your own that exists adds nothing and is returned; a number that was
    /// handed out in a transaction that is rolled back is handed out again. An error has written nothing, and the
    /// transaction can go on, unless the error says that it was undone:
    ///
    /// - [`Unsupported`](ErrorKind::Unsupported): the queue is not in a file, or the file has the layout of a newer version.
    /// - [`Invalid`](ErrorKind::Invalid): the job breaks a rule; or the transaction is on another file or a connection that
    ///   only reads, or has ended; or the file has no tables of Lariat's yet.
    /// - [`Unreachable`](ErrorKind::Unreachable): somebody else writes the file, or has written since this transaction first
    ///   read: one that was begun with `BEGIN IMMEDIATE` waits for its turn at its begin instead, and is spared both.
    ///
    /// Workers that wait in this process look for what is new every millisecond from here on, ever more seldom while nothing
    /// comes, and in other processes every 50 ms at least.
    pub fn write(self) -> Result<JobId, Error> {
        let AddingIn { queue, tx, job } = self;
        let write = || {
            let job = job.checked(queue.clock.now())?;
            let span = telemetry::add(queue.name.as_str(), &job.name).entered();
            let id = queue.backend.join()?.add_in(tx, std::slice::from_ref(&job))?.pop();
            let id = id.ok_or_else(|| Error::new(ErrorKind::Store, "the store answered an add with no id"))?;
            span.record(telemetry::JOB_ID, id.as_str());
            Ok(id)
        };
        write().map_err(|e: Error| e.in_queue(&queue.name))
    }
}

/// The guide's code, compiled and run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/transactions.md")]
struct Guide;

setters!(AddingIn<'_>);

impl fmt::Debug for AddingIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddingIn").field("queue", self.queue).field("job", &self.job).finish_non_exhaustive()
    }
}
