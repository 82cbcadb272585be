//! What is in a file: our tables and the number of their layout, nothing yet, or what somebody else has put there.

use rusqlite::Connection;

use super::fault::Fault;
use crate::error::{Error, ErrorKind};

/// Written into the header of a file that is ours alone: `LART`. In a shared one that field is another program's, as
/// `user_version` is, so neither is read to tell what is in it.
const APPLICATION: i32 = 0x4c41_5254;

/// The layout of each version, and what leads to it from the one before.
const MIGRATIONS: [&str; 1] = [include_str!("schema/0001_initial.sql")];

/// The number of the file's layout; None where it has none of our tables.
fn layout(connection: &Connection) -> Result<Option<usize>, Fault> {
    let mut ours = connection.prepare_cached("SELECT 1 FROM main.sqlite_schema WHERE name = 'lariat_store'")?;
    if ours.exists([])? { known_layout(connection).map(Some) } else { Ok(None) }
}

/// The same of a file that has our tables.
fn known_layout(connection: &Connection) -> Result<usize, Fault> {
    let mut found = connection.prepare_cached("SELECT layout FROM main.lariat_store")?;
    let layout = found.query_row([], |row| row.get::<_, i64>(0))?;
    Ok(usize::try_from(layout).unwrap_or(usize::MAX))
}

/// A file that is somebody else's is left as it is, unless it is to be shared.
pub(super) fn check(connection: &Connection, adopt: bool) -> Result<(), Error> {
    match layout(connection)? {
        Some(version) => not_newer(version),
        None if application(connection)? == APPLICATION => Err(before_the_first()),
        None if adopt => names_are_free(connection),
        None => foreign(connection),
    }
}

/// A file with our mark and without the table that all versions have.
fn before_the_first() -> Error {
    let words = "this file was made by a development version of Lariat before 0.1.0, whose tables no version reads any \
                 more: name another file, or delete this one if its jobs are not needed";
    Error::new(ErrorKind::Unsupported, words)
}

/// Refuses a file in which somebody else has put anything.
fn foreign(connection: &Connection) -> Result<(), Error> {
    if is_empty(connection)? {
        return Ok(());
    }
    let sql =
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite@_%' ESCAPE '@' LIMIT 4";
    let mut names = connection.prepare(sql).map_err(Fault::from)?;
    let found = names.query_map([], |row| row.get::<_, String>(0)).map_err(Fault::from)?;
    let tables = found.collect::<rusqlite::Result<Vec<_>>>().map_err(Fault::from)?;
    let tables = match tables.as_slice() {
        [] => String::new(),
        [first @ .., _] if first.len() == 3 => format!(" (it has the tables {}, …)", first.join(", ")),
        all => format!(" (it has the tables {})", all.join(", ")),
    };
    let words = format!(
        "this is a database of another program{tables}: name a file of its own, or add ?adopt=true, which puts \
         Lariat's tables (all called lariat_…) beside those that are there"
    );
    Err(Error::new(ErrorKind::Invalid, words))
}

/// A name that begins with ours and is somebody else's: our tables could not be told from theirs.
fn names_are_free(connection: &Connection) -> Result<(), Error> {
    let sql = "SELECT name FROM main.sqlite_schema WHERE name LIKE 'lariat@_%' ESCAPE '@' LIMIT 1";
    let mut taken = connection.prepare(sql).map_err(Fault::from)?;
    let mut rows = taken.query([]).map_err(Fault::from)?;
    let Some(row) = rows.next().map_err(Fault::from)? else { return Ok(()) };
    let name: String = row.get(0).map_err(Fault::from)?;
    let words = format!("{name} in this database is not Lariat's: names that begin with lariat_ must be free");
    Err(Error::new(ErrorKind::Invalid, words))
}

fn application(connection: &Connection) -> Result<i32, Fault> {
    Ok(connection.query_row("PRAGMA main.application_id", [], |row| row.get(0))?)
}

/// Whether our file has a layout that this version knows. Another process may bring it to a newer one at any time.
pub(super) fn check_version(connection: &Connection) -> Result<(), Error> {
    not_newer(known_layout(connection)?)
}

fn not_newer(version: usize) -> Result<(), Error> {
    let known = MIGRATIONS.len();
    if version > known {
        let words =
            format!("the file has layout {version} of a newer Lariat, this one knows up to {known}: use the newer one");
        return Err(Error::new(ErrorKind::Unsupported, words));
    }
    Ok(())
}

/// Whether a file that somebody else has opened has the layout of this version.
pub(super) fn check_layout(connection: &Connection, shown: &str) -> Result<(), Error> {
    let Some(version) = layout(connection)? else {
        let words =
            format!("{shown} has none of Lariat's tables: connect to it once (Store::connect), which makes them");
        return Err(Error::new(ErrorKind::Invalid, words));
    };
    not_newer(version)?;
    if version < MIGRATIONS.len() {
        let words =
            format!("{shown} has the layout of an older Lariat: connect to it once, which brings it up to date");
        return Err(Error::new(ErrorKind::Invalid, words));
    }
    Ok(())
}

/// A temporary table or view that has the name of one of our tables: on its connection it goes before the file's.
pub(super) fn shadow(connection: &Connection) -> Result<Option<String>, Fault> {
    let mut names = connection.prepare_cached("SELECT name FROM temp.sqlite_schema WHERE type IN ('table', 'view')")?;
    let mut rows = names.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        if tables().any(|ours| ours.eq_ignore_ascii_case(&name)) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// The names of our tables.
fn tables() -> impl Iterator<Item = &'static str> {
    let created = MIGRATIONS.iter().flat_map(|migration| migration.split("CREATE TABLE ").skip(1));
    created.filter_map(|rest| rest.split([' ', '(']).next())
}

/// Whether the file has this version's layout.
pub(super) fn is_current(connection: &Connection) -> Result<bool, Fault> {
    Ok(layout(connection)? == Some(MIGRATIONS.len()))
}

/// In a transaction: brings the file to this version's layout. One that is to be shared gets no mark of ours, though it be
/// empty as yet: its owner's first start may come after ours.
pub(super) fn migrate(work: &Connection, adopt: bool) -> Result<(), Fault> {
    let version = layout(work)?.unwrap_or(0);
    if version == 0 && !adopt && is_empty(work)? {
        work.execute_batch(&format!("PRAGMA main.application_id = {APPLICATION}"))?;
    }
    for (number, migration) in (1_i64..).zip(MIGRATIONS).skip(version) {
        work.execute_batch(migration)?;
        let sql = "INSERT INTO lariat_store (one, layout) VALUES (1, ?1)
                   ON CONFLICT DO UPDATE SET layout = excluded.layout";
        work.execute(sql, [number])?;
    }
    Ok(())
}

fn is_empty(work: &Connection) -> Result<bool, Fault> {
    let things: i64 = work.query_row("SELECT count(*) FROM main.sqlite_schema", [], |row| row.get(0))?;
    Ok(things == 0 && application(work)? == 0)
}
