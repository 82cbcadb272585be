//! Opening a file: what it has to be, what it is made to be.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::clock;
use super::fault::{Fault, explain, is_busy};
use super::file;
use super::layout;
use crate::error::{Error, ErrorKind};
use crate::store::url::{Durability, SqliteAddress, SqlitePlace};

/// How long opening waits for others that open or change the file just then.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connection that writes. The file is made where there is none, and brought to this version's layout.
pub(super) fn writer(address: &SqliteAddress) -> Result<Connection, Error> {
    let mut connection = match &address.place {
        SqlitePlace::Memory => Connection::open_in_memory().map_err(Fault::from)?,
        SqlitePlace::File(path) => {
            file::check(path)?;
            Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_CREATE)).map_err(Fault::from)?
        }
    };
    connection.busy_timeout(PATIENCE).map_err(Fault::from)?;
    plans(&connection).map_err(Fault::from)?;
    check(&connection, address.adopt)?;
    prepare(&mut connection, address).map_err(Error::from)?;
    Ok(connection)
}

/// Whether the file may be ours. In one transaction: another process may make it ours between two looks.
fn check(connection: &Connection, adopt: bool) -> Result<(), Error> {
    let one_moment = connection.unchecked_transaction().map_err(Fault::from)?;
    layout::check(&one_moment, adopt)
}

/// A connection that reads. The file must be there, and ready.
pub(super) fn reader(path: &Path) -> Result<Connection, Error> {
    let open = || -> Result<Connection, Fault> {
        let connection = Connection::open_with_flags(path, flags(OpenFlags::empty()))?;
        connection.busy_timeout(PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(64);
        plans(&connection)?;
        connection.execute_batch("PRAGMA query_only = on; PRAGMA cache_size = -4096; PRAGMA temp_store = memory;")?;
        Ok(connection)
    };
    Ok(open()?)
}

/// Plans do not depend on the values that are bound: otherwise every statement with a bound `LIMIT` would be compiled anew
/// for each value.
fn plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn flags(more: OpenFlags) -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more
}

/// Whether two paths lead to one file.
pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // Looked at, not opened: closing a file drops the locks that SQLite has on it, in the whole process.
        let which = |path: &Path| path.metadata().map(|file| (file.dev(), file.ino())).ok();
        which(one).is_some_and(|one| which(other) == Some(one))
    }
    #[cfg(not(unix))]
    {
        let which = |path: &Path| path.canonicalize().ok();
        which(one).is_some_and(|one| which(other) == Some(one))
    }
}

fn prepare(connection: &mut Connection, address: &SqliteAddress) -> Result<(), Fault> {
    // In this order: a file has its page size and its journal before its first table.
    if matches!(address.place, SqlitePlace::File(_)) {
        wal(connection)?;
    }
    sync(connection, address.durability)?;
    if address.durability == Durability::Full {
        // On macOS a sync leaves what it syncs in the disk's own cache, unless it is told not to.
        connection.execute_batch("PRAGMA fullfsync = on; PRAGMA checkpoint_fullfsync = on;")?;
    }
    // A large cache costs more than it brings: SQLite goes through all of its slots at most commits, and the pages that
    // the next jobs need are few.
    connection.execute_batch(
        "PRAGMA cache_size = -6144; PRAGMA temp_store = memory; PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 67108864; PRAGMA foreign_keys = off;",
    )?;
    connection.set_prepared_statement_cache_capacity(128);
    if is_ready(connection)? {
        return Ok(());
    }
    let work = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Again: it may have been another one's turn just before.
    layout::check(&work, address.adopt)?;
    layout::migrate(&work, address.adopt)?;
    this_boot(&work)?;
    work.commit()?;
    Ok(())
}

/// Whether nothing has to be written before the file can be used, so that nobody who writes need be waited for.
pub(super) fn is_ready(connection: &Connection) -> Result<bool, Fault> {
    let mode: String = connection.query_row("PRAGMA main.journal_mode", [], |row| row.get(0))?;
    Ok(mode == "wal" && layout::is_current(connection)? && is_of_this_boot(connection)?)
}

/// Outside of a transaction: whether commits are synced from here on.
pub(super) fn sync(connection: &Connection, durability: Durability) -> Result<(), Error> {
    let sql = match durability {
        Durability::Full => "PRAGMA synchronous = full",
        Durability::Normal => "PRAGMA synchronous = normal",
    };
    connection.execute_batch(sql).map_err(explain)
}

/// Another process may be about to do the same: SQLite does not wait for that by itself.
fn wal(connection: &Connection) -> Result<(), Fault> {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = wal", [], |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => {
                let words = "the file's folder allows no shared memory, which a file used by several processes needs";
                return Err(Error::new(ErrorKind::Unsupported, words).into());
            }
            Err(error) if is_busy(&error) && std::time::Instant::now() < until => {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_of_this_boot(connection: &Connection) -> Result<bool, Fault> {
    let boot: String = connection.query_row("SELECT boot FROM main.lariat_store", [], |row| row.get(0))?;
    Ok(boot == clock::boot_id())
}

/// Times of another boot mean nothing in this one: whoever held a lock is gone.
fn this_boot(work: &Connection) -> Result<(), Fault> {
    if !is_of_this_boot(work)? {
        work.execute("UPDATE lariat_store SET boot = ?1", [clock::boot_id()])?;
        work.execute_batch(
            "UPDATE lariat_job SET lock_until = 0 WHERE queue IN (SELECT row FROM lariat_queue) AND state = 1;
             UPDATE lariat_queue SET started = 0, started_until = 0, searched_until = 0;
             DELETE FROM lariat_lane;",
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

    use super::*;

    #[test]
    fn a_new_file_that_another_process_makes_ours_meanwhile_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.db");
        let mut ours = Connection::open(&path).unwrap();
        wal(&ours).unwrap();
        let mut other = Connection::open(&path).unwrap();
        let (mut looks, made) = (0, Arc::new(AtomicBool::new(false)));
        let makes = Arc::clone(&made);
        let between_two_looks = move |seen: AuthContext<'_>| {
            looks += i32::from(matches!(seen.action, AuthAction::Select));
            if looks == 2 && !makes.swap(true, Ordering::Relaxed) {
                let work = other.transaction().unwrap();
                layout::migrate(&work, false).unwrap();
                work.commit().unwrap();
            }
            Authorization::Allow
        };
        ours.authorizer(Some(between_two_looks)).unwrap();
        check(&ours, false).unwrap();
        assert!(made.load(Ordering::Relaxed), "it looked twice");
        check(&ours, false).unwrap();
    }
}
