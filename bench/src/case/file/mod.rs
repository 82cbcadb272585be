//! The cases on one SQLite file. A fresh file for each library and round, in the folder for temporary files: it must be on
//! a real disk, or `full` means nothing.

mod add;
mod flat;
mod idle;
mod noop;
mod renew;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::{LONG, QUEUE, Setup};
use crate::Result;
use crate::args::Durability;
use crate::peer::{Library, Peer};

pub(crate) use add::FileAdd;
pub(crate) use flat::{Depth, FileFlat};
pub(crate) use idle::FileIdle;
pub(crate) use noop::FileNoop;
pub(crate) use renew::FileRenew;

/// A folder for one file. Dropping it removes the folder.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("jobs.db")
    }

    fn address(&self, durability: Durability) -> String {
        format!("sqlite:{}?durability={}", self.path().display(), durability.name())
    }

    /// A driver for this file.
    fn start(&self, library: Library, durability: Durability, setup: Setup) -> Result<Peer> {
        Peer::start(library, &self.address(durability), setup.threads)
    }

    /// How many jobs of the queue are in this state, as the file says.
    fn count(&self, library: Library, state: &str) -> Result<usize> {
        let file = Connection::open_with_flags(self.path(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        file.busy_timeout(Duration::from_secs(30))?;
        let sql = match library {
            Library::Apalis | Library::ApalisDefaults if state == "completed" => {
                "SELECT count(*) FROM Jobs WHERE job_type = ?1 AND status = 'Done'".to_owned()
            }
            Library::Apalis | Library::ApalisDefaults => "SELECT count(*) FROM Jobs WHERE job_type = ?1".to_owned(),
            _ => format!("SELECT {state} FROM lariat_queue WHERE name = ?1"),
        };
        let count: i64 = file.query_row(&sql, [QUEUE], |row| row.get(0))?;
        Ok(usize::try_from(count)?)
    }

    /// Waits until so many jobs are in this state.
    fn until(&self, library: Library, state: &str, jobs: usize) -> Result<()> {
        let deadline = Instant::now() + LONG;
        while self.count(library, state)? != jobs {
            if Instant::now() > deadline {
                return Err(format!("waited {LONG:?} in vain until {jobs} jobs were {state}").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}
