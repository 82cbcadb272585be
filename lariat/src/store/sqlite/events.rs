//! The event stream of a queue: writing it, and reading its tail.

use rusqlite::{Connection, params};

use super::fault::Fault;
use super::queue::{self, QueueKey, state};
use super::tx::Tx;
use crate::job::JobState;
use crate::store::view::{StoredEvent, StoredEvents};

/// Events that are kept at least, and how many more there may be before the oldest go.
const KEPT: i64 = 10_000;
const SLACK: i64 = 500;

/// What happened. The number is what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Added = 0,
    Waiting = 1,
    Delayed = 2,
    WaitingChildren = 3,
    Active = 4,
    Progress = 5,
    Completed = 6,
    Failed = 7,
    RetriesExhausted = 8,
    Stalled = 9,
    Removed = 10,
    Duplicated = 11,
    Drained = 12,
    Paused = 13,
    Resumed = 14,
}

/// The event's name, and the name of its value, by its number.
const NAMES: [(&str, &str); 15] = [
    ("added", "name"),
    ("waiting", ""),
    ("delayed", "delay"),
    ("waiting-children", ""),
    ("active", ""),
    ("progress", "data"),
    ("completed", "returnvalue"),
    ("failed", "failedReason"),
    ("retries-exhausted", "attemptsMade"),
    ("stalled", ""),
    ("removed", ""),
    ("duplicated", ""),
    ("drained", ""),
    ("paused", ""),
    ("resumed", ""),
];

/// Writes one event; from time to time drops the oldest.
pub(super) fn emit(
    tx: &mut Tx<'_>,
    queue: i64,
    kind: Kind,
    job: Option<&str>,
    value: Option<&str>,
    prev: Option<JobState>,
) -> Result<(), Fault> {
    let row = tx.edit(queue)?;
    row.last_event += 1;
    let n = row.last_event;
    tx.run(
        "INSERT INTO event (queue, n, at, kind, job, value, prev) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![queue, n, tx.wall, kind as i64, job, value, prev.map(queue::code)],
    )?;
    if n % SLACK == 0 {
        tx.run("DELETE FROM event WHERE queue = ?1 AND n <= ?2", params![queue, n - KEPT])?;
    }
    Ok(())
}

/// The id before all events.
const BEGINNING: &str = "0-0";

/// Where the stream ends now.
pub(super) fn end(file: &Connection, key: &QueueKey) -> Result<StoredEvents, Fault> {
    let Some(queue) = queue::find(file, key)? else { return Ok(nothing(BEGINNING)) };
    let mut last = file.prepare_cached("SELECT at, n FROM event WHERE queue = ?1 ORDER BY n DESC LIMIT 1")?;
    let mut rows = last.query([queue])?;
    Ok(match rows.next()? {
        Some(row) => nothing(&id(row.get(0)?, row.get(1)?)),
        None => nothing(BEGINNING),
    })
}

fn nothing(upto: &str) -> StoredEvents {
    StoredEvents { events: Vec::new(), upto: upto.to_owned() }
}

/// Events behind this one. An id is a time and a number; one whose number is 0 stands for its time.
pub(super) fn read(file: &Connection, key: &QueueKey, after: &str, most: usize) -> Result<StoredEvents, Fault> {
    let Some(queue) = queue::find(file, key)? else { return Ok(nothing(after)) };
    let (at, n) = after.split_once('-').unwrap_or(("0", "0"));
    let (at, n): (i64, i64) = (at.parse().unwrap_or(i64::MAX), n.parse().unwrap_or(i64::MAX));
    let since = if n == 0 { at } else { i64::MIN };
    let mut statement = file.prepare_cached(
        "SELECT n, at, kind, job, value, prev FROM event WHERE queue = ?1 AND n > ?2 AND at >= ?3 ORDER BY n LIMIT ?4",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let events = statement.query_map(params![queue, n, since, most], stored)?;
    let events = events.collect::<rusqlite::Result<Vec<_>>>()?;
    let upto = events.last().map_or_else(|| after.to_owned(), |event| event.id.clone());
    Ok(StoredEvents { events, upto })
}

fn id(at: i64, n: i64) -> String {
    format!("{at}-{n}")
}

fn stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredEvent> {
    let kind: i64 = row.get(2)?;
    let (name, value_name) =
        usize::try_from(kind).ok().and_then(|kind| NAMES.get(kind)).copied().unwrap_or(("unknown", "value"));
    let mut fields = Vec::with_capacity(3);
    if let Some(job) = row.get::<_, Option<String>>(3)? {
        fields.push(("jobId".to_owned(), job));
    }
    if let Some(value) = row.get::<_, Option<String>>(4)? {
        fields.push((value_name.to_owned(), value));
    }
    if let Some(prev) = row.get::<_, Option<i64>>(5)?.and_then(state) {
        fields.push(("prev".to_owned(), prev.as_str().to_owned()));
    }
    Ok(StoredEvent { id: id(row.get(1)?, row.get(0)?), name: name.to_owned(), fields })
}
