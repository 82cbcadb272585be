//! The store by itself: its file, its writer, its families of jobs.

mod batches;
mod family;
mod garbled;
mod lanes;
mod leftovers;
mod opening;
mod packed;
mod sharing;
mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;

use super::SqliteStore;
use super::queue::QueueKey;
use crate::id::{Prefix, QueueName};
use crate::store::url::SqliteAddress;
use crate::{Queue, Store};

/// A folder of the test's own.
struct Lab {
    folder: TempDir,
}

impl Lab {
    fn new() -> Lab {
        Lab { folder: TempDir::new().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("jobs.db")
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.path().display())
    }

    /// Another store on the same file, with a writer of its own, as another process would have it.
    fn store(&self) -> Store {
        Store::open(&self.url()).unwrap()
    }

    fn queue(&self) -> Queue {
        Queue::new(&self.store(), "mail").unwrap()
    }

    fn sql(&self) -> Connection {
        connect(&self.path())
    }
}

fn connect(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(interop::wait::DEADLINE).unwrap();
    connection
}

/// A store with its parts in reach, in memory.
fn bare() -> (SqliteStore, Arc<QueueKey>) {
    let key = QueueKey::new(&Prefix::default(), &QueueName::new("mail").unwrap());
    (SqliteStore::new(&SqliteAddress::MEMORY), Arc::new(key))
}
