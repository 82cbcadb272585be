//! A job that is completed in a transaction of its handler's.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use rusqlite::{DropBehavior, Transaction};
use serde::Serialize;

use super::handle::{Held, Job};
use super::outcome::{IntoOutcome, JobError, Outcome};
use crate::error::Error;

/// A transaction in which a job has been completed, and which is still to be committed. Made by [`Job::complete_in`].
///
/// It is the [`Transaction`] that was given: rows may still be written in it. [`commit`](Self::commit) is the one way to
/// have it committed, so that it is known what became of the job. Dropped, it is rolled back: the job is not completed, and
/// its handler may go on, fail, or try again.
#[must_use = "dropped, the transaction is rolled back, and the job is not completed"]
pub struct Completing<'c> {
    // In this order: rolled back first, then told.
    tx: Transaction<'c>,
    joined: Joined,
}

/// The receipt for a completion that is committed: what a handler returns then.
///
/// Should it return anything else, even an error, the job stays completed with the value that was written.
#[derive(Debug)]
#[must_use = "what the handler returns"]
pub struct Committed(());

/// The run's part in the transaction.
struct Joined {
    held: Arc<dyn Held>,
    committed: bool,
}

impl Drop for Joined {
    fn drop(&mut self) {
        if !self.committed {
            self.held.rolled_back();
        }
    }
}

impl<'c> Completing<'c> {
    pub(super) fn new<T: Serialize + ?Sized>(
        job: &Job,
        mut tx: Transaction<'c>,
        value: &T,
    ) -> Result<Completing<'c>, Error> {
        // Whatever it was set to do: without the job's completion its rows must not be kept.
        tx.set_drop_behavior(DropBehavior::Rollback);
        let value = job.as_json("result", value)?;
        job.held().complete_in(&tx, value, job.record().options.remove_on_complete)?;
        Ok(Completing { tx, joined: Joined { held: Arc::clone(job.held()), committed: false } })
    }

    /// Commits the job's completion, together with all else that was written in the transaction.
    ///
    /// An error means that nothing of it is kept, and the handler may go on, fail or try again; where it
    /// [`is_unknown`](Error::is_unknown) (writing the file failed at the last moment) all of it may yet be found kept after a
    /// crash. [`Closed`](crate::ErrorKind::Closed): the handler was told to stop meanwhile, since the job was cancelled or
    /// its time is over. It blocks until the commit is on the disk; with a connection of yours that is set to less than
    /// `synchronous=full`, which is SQLite's default, it is not there yet.
    pub fn commit(self) -> Result<Committed, Error> {
        let Completing { tx, mut joined } = self;
        joined.held.commit(tx)?;
        joined.committed = true;
        Ok(Committed(()))
    }
}

impl<'c> Deref for Completing<'c> {
    type Target = Transaction<'c>;

    fn deref(&self) -> &Transaction<'c> {
        &self.tx
    }
}

impl IntoOutcome for Committed {
    fn into_outcome(self) -> Result<Outcome, JobError> {
        Ok(Outcome::Committed(self))
    }
}

impl fmt::Debug for Completing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completing").finish_non_exhaustive()
    }
}
