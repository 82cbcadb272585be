//! What is done in a transaction of the caller's, on a connection of the caller's to the same file.
//!
//! Neither the writer nor its memory has a part in it: the queue's row is read in that transaction and written back at the
//! end of each call. The writer finds out as it does of other processes, by `data_version`; here it is only told to look
//! soon. No hook is set on the caller's connection: SQLite has room for one of each kind, and that is the caller's.

use std::path::Path;

use rusqlite::{Connection, MAIN_DB, Transaction};

use super::fault::{Fault, explain_commit, is_busy};
use super::tx::{Memory, Tx};
use super::{SqliteQueue, add, clock, exchange, layout, open};
use crate::error::{Error, ErrorKind};
use crate::id::JobId;
use crate::store::JoinStore;
use crate::store::change::AddJob;
use crate::store::exchange::SettleIn;
use crate::store::url::SqlitePlace;
use crate::time::Timestamp;

impl JoinStore for SqliteQueue {
    fn add_in(&self, tx: &Transaction<'_>, jobs: &[AddJob]) -> Result<Vec<JobId>, Error> {
        let ids = self.within(tx, |tx| add::add_all(tx, &self.key, jobs))?;
        // Nothing to be seen yet; but it will not be long.
        self.writer.look_soon();
        Ok(ids.into_iter().map(JobId::stored).collect())
    }

    fn settle_in(&self, tx: &Transaction<'_>, settle: &SettleIn<'_>) -> Result<(), Error> {
        self.within(tx, |tx| exchange::settle_alone(tx, &self.key, settle))
    }

    fn commit(&self, tx: Transaction<'_>) -> Result<(), Error> {
        tx.commit().map_err(explain_commit)?;
        self.writer.look_soon();
        Ok(())
    }
}

impl SqliteQueue {
    /// Does `work` in the transaction, as a whole or not at all.
    fn within<T>(
        &self,
        transaction: &Transaction<'_>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        let connection: &Connection = transaction;
        self.check(connection)?;
        step(connection, "SAVEPOINT lariat")?;
        // What is judged has to be what will be written over: not an old moment that the transaction still reads.
        if let Err(fault) = step(connection, "DELETE FROM lariat_store WHERE one = 0") {
            step(connection, "RELEASE lariat")?;
            return Err(explained(fault));
        }
        let mut memory = Memory::default();
        let (wall, boot) = (Timestamp::now().as_millis(), clock::boot_ms());
        let done = work(&mut Tx::new(connection, &mut memory, wall, boot));
        let done = done.and_then(|done| memory.write(connection).map(|()| done).map_err(Fault::from));
        let error = match done.and_then(|done| step(connection, "RELEASE lariat").map(|()| done)) {
            Ok(done) => return Ok(done),
            Err(fault) => explained(fault),
        };
        if connection.is_autocommit() {
            let words = "an error ended the transaction: all that was written in it is undone";
            return Err(Error::new(ErrorKind::Store, words).because(error));
        }
        step(connection, "ROLLBACK TO lariat").and_then(|()| step(connection, "RELEASE lariat"))?;
        Err(error)
    }

    /// Whether the transaction is one in which the queue's tables can be written.
    fn check(&self, connection: &Connection) -> Result<(), Error> {
        let invalid = |words: &'static str| Err(Error::new(ErrorKind::Invalid, words));
        let SqlitePlace::File(ours) = &self.address.place else {
            return Err(Error::new(ErrorKind::Unsupported, IN_MEMORY));
        };
        if connection.is_autocommit() {
            // Each statement would be committed by itself.
            return invalid("the transaction has ended already: SQLite undoes a whole one after some errors");
        }
        let theirs = connection.path().unwrap_or_default();
        if !open::is_same_file(ours, Path::new(theirs)) {
            let theirs = if theirs.is_empty() { "a database in memory" } else { theirs };
            let words = format!(
                "the transaction is on {theirs}, the queue in {}: begin it on a connection to the queue's file",
                self.address
            );
            return Err(Error::new(ErrorKind::Invalid, words));
        }
        let query_only: bool = look(connection, "PRAGMA query_only")?;
        if query_only || connection.is_readonly(MAIN_DB).map_err(Fault::from)? {
            return invalid("the transaction is on a connection that only reads: open one that may write");
        }
        layout::check_layout(connection, &self.address.to_string())?;
        match layout::shadow(connection)? {
            None => Ok(()),
            Some(name) => {
                let words =
                    format!("the temporary table {name:?} of the transaction's connection hides Lariat's: rename it");
                Err(Error::new(ErrorKind::Invalid, words))
            }
        }
    }
}

pub(super) const IN_MEMORY: &str = "a database in memory has no second connection on which a transaction could be begun: \
                                    use a file, in a temporary folder for tests";

fn look<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> Result<T, Fault> {
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

fn step(connection: &Connection, sql: &str) -> Result<(), Fault> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// A busy file means something else here than it does to the writer.
fn explained(fault: Fault) -> Error {
    match fault {
        Fault::Sql(error) if is_busy(&error) => {
            let words = "somebody else writes the file, or has written since the transaction began to read: roll it back \
                         and begin it with BEGIN IMMEDIATE";
            Error::new(ErrorKind::Unreachable, words).because(error)
        }
        fault => fault.into(),
    }
}
