//! Connections that only read, so that a look at a queue waits for no writer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::PATIENCE;
use super::fault::{Fault, named};
use super::file::{self, Identity};
use super::writer::{Turn, Writer};
use super::{layout, open};
use crate::error::{Error, ErrorKind};
use crate::store::url::{SqliteAddress, SqlitePlace};

/// Connections that are kept for the next read.
const MOST_KEPT: usize = 4;

/// The way to read. A database in memory has one connection only, the writer's: there a read takes its turn with it.
pub(super) struct Readers {
    writer: Arc<Writer>,
    pool: Option<Arc<Pool>>,
}

struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// The file that was opened, and found to be ours.
    known: Mutex<Option<Identity>>,
}

impl Readers {
    pub(super) fn new(address: &SqliteAddress, writer: Arc<Writer>) -> Readers {
        let pool = match &address.place {
            SqlitePlace::Memory => None,
            SqlitePlace::File(path) => {
                Some(Arc::new(Pool { path: path.clone(), idle: Mutex::default(), known: Mutex::default() }))
            }
        };
        Readers { writer, pool }
    }

    /// Finds the file to be ours. A read waits for nobody, not even for somebody who writes all the while, except for who
    /// makes the file ready where it is not: the writer, which also says what is wrong with one that cannot be.
    async fn open(&self, pool: &Arc<Pool>) -> Result<(), Error> {
        if pool.is_new() {
            let pool = Arc::clone(pool);
            let found = tokio::task::spawn_blocking(move || pool.find()).await;
            if matches!(found, Ok(Ok(true))) {
                return Ok(());
            }
        } else if !self.writer.has_opened() {
            // Otherwise the writer says so, or has said it.
            pool.forget();
            return Err(named(file::gone(), self.writer.address()));
        }
        self.writer.call(Turn::InOrder, PATIENCE, |_| Ok(())).await?;
        pool.opened();
        Ok(())
    }

    /// Has `look` look at one moment of the file.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        look: impl Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let Some(pool) = &self.pool else {
            return self.writer.call(Turn::InOrder, PATIENCE, move |tx| look(tx.written()?)).await;
        };
        if !pool.is_known() {
            self.open(pool).await?;
        }
        let pool = Arc::clone(pool);
        let read = tokio::task::spawn_blocking(move || pool.read(look)).await;
        let read = read.map_err(|e| Error::new(ErrorKind::Store, "a read of the file was broken off").because(e));
        read.flatten().map_err(|error| named(error, self.writer.address()))
    }
}

impl Pool {
    /// Whether the path still leads to the file that was opened.
    fn is_known(&self) -> bool {
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.is_some() && known == Identity::of(&self.path)
    }

    /// Whether nothing was opened so far.
    fn is_new(&self) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Opens the file where it is there, and ready; whether it is.
    fn find(&self) -> Result<bool, Error> {
        file::check(&self.path)?;
        let found = Identity::of(&self.path);
        let connection = open::reader(&self.path)?;
        if !open::is_ready(&connection)? || Identity::of(&self.path) != found {
            return Ok(false);
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = found;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(true)
    }

    /// What was opened is not there any more.
    fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The writer has opened the file that is there now. Connections to an earlier one are of no use.
    fn opened(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Identity::of(&self.path);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn read<T>(&self, look: impl Fn(&Connection) -> Result<T, Fault>) -> Result<T, Error> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match kept {
            Some(connection) => connection,
            None => open::reader(&self.path)?,
        };
        let seen = one_moment(&connection, look)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_KEPT {
            idle.push(connection);
        }
        Ok(seen)
    }
}

/// A connection whose read failed is not used again, so the transaction need not be ended then.
fn one_moment<T>(connection: &Connection, look: impl Fn(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
    connection.execute_batch("BEGIN")?;
    layout::check_version(connection)?;
    let seen = look(connection)?;
    connection.execute_batch("COMMIT")?;
    Ok(seen)
}
