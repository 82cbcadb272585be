//! Opening a file: what it has to be, what it is made to be.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::clock;
use super::fault::{Fault, explain, is_busy};
use super::file;
use crate::error::{Error, ErrorKind};
use crate::store::url::{Durability, SqliteAddress, SqlitePlace};

/// Written into the file's header: `LART`.
const APPLICATION: i32 = 0x4c41_5254;

/// The layout of each version, and what leads to it from the one before.
const MIGRATIONS: [&str; 1] = [include_str!("schema/0001_initial.sql")];

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
    check(&connection)?;
    prepare(&mut connection, address).map_err(Error::from)?;
    Ok(connection)
}

/// A connection that reads; the file must have been opened for writing before.
pub(super) fn reader(path: &Path) -> Result<Connection, Error> {
    let open = || -> Result<Connection, Fault> {
        let connection = Connection::open_with_flags(path, flags(OpenFlags::empty()))?;
        connection.busy_timeout(PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch("PRAGMA query_only = on; PRAGMA cache_size = -4096; PRAGMA temp_store = memory;")?;
        Ok(connection)
    };
    Ok(open()?)
}

fn flags(more: OpenFlags) -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more
}

/// A file that is not ours is left as it is.
fn check(connection: &Connection) -> Result<(), Error> {
    let (application, tables) = (|| -> Result<(i32, i64), Fault> {
        let application = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        Ok((application, connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?))
    })()?;
    if application != APPLICATION && (application != 0 || tables > 0) {
        let words = "this is a database of another program: name a file of its own, or one that does not exist";
        return Err(Error::new(ErrorKind::Invalid, words));
    }
    if application == APPLICATION { check_layout(connection) } else { Ok(()) }
}

/// Whether the file has a layout that this version knows. Another process may bring it to a newer one at any time.
pub(super) fn check_layout(connection: &Connection) -> Result<(), Error> {
    let version: i64 =
        (|| connection.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0)))().map_err(Fault::Sql)?;
    let newest = MIGRATIONS.len();
    if usize::try_from(version).is_ok_and(|version| version > newest) {
        let words = format!(
            "the file has layout {version} of a newer Lariat, this one knows up to {newest}: use the newer one"
        );
        return Err(Error::new(ErrorKind::Unsupported, words));
    }
    Ok(())
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
    let work = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Again: it may have been another one's turn just before.
    check(&work)?;
    let version: i32 = work.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let version = usize::try_from(version).unwrap_or(0);
    for (number, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        work.execute_batch(migration)?;
        work.execute_batch(&format!("PRAGMA user_version = {}; PRAGMA application_id = {APPLICATION};", number + 1))?;
    }
    this_boot(&work)?;
    work.commit()?;
    Ok(())
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

/// Times of another boot mean nothing in this one: whoever held a lock is gone.
fn this_boot(work: &Connection) -> Result<(), Fault> {
    let boot = clock::boot_id();
    let changed = work.execute(
        "INSERT INTO store (one, boot) VALUES (1, ?1)
         ON CONFLICT DO UPDATE SET boot = excluded.boot WHERE boot <> excluded.boot",
        params![boot],
    )?;
    if changed > 0 {
        work.execute_batch(
            "UPDATE job SET lock_until = 0 WHERE queue IN (SELECT row FROM queue) AND state = 1;
             UPDATE queue SET started = 0, started_until = 0, searched_until = 0;
             DELETE FROM lane;",
        )?;
    }
    Ok(())
}
