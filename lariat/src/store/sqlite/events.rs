//! The event stream of a queue: writing it, and reading its tail. The events of one commit are packed into few rows: a row
//! for each would cost more than the jobs that they tell of.

use rusqlite::{Connection, params};

use super::fault::Fault;
use super::queue::{self, QueueKey, state};
use super::tx::Tx;
use crate::error::{Error, ErrorKind};
use crate::job::JobState;
use crate::store::view::{StoredEvent, StoredEvents};

/// Events that are kept at least, and how many more there may be before the oldest go.
const KEPT: i64 = 10_000;
const SLACK: i64 = 500;
/// Most events of one row. Whoever reads one event of a row unpacks them all.
const MOST_PACKED: usize = 64;

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

/// A queue's events that are not written yet, each packed by itself.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    packed: Vec<u8>,
    /// Where in it each event ends.
    ends: Vec<usize>,
    /// When they happened.
    at: i64,
}

/// An event as it is packed: kind, job, value, the number of a state.
type Packed<T> = (i64, Option<T>, Option<T>, Option<i64>);

impl Unwritten {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Forgets those behind the first `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.packed.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Writes them, `last` being the number of the last; from time to time drops the oldest.
    pub(super) fn write(&mut self, file: &Connection, queue: i64, last: i64) -> rusqlite::Result<()> {
        if self.ends.is_empty() {
            return Ok(());
        }
        let mut insert =
            file.prepare_cached("INSERT INTO lariat_event (queue, n, at, packed) VALUES (?1, ?2, ?3, ?4)")?;
        let before = last - count(self.ends.len());
        let (mut n, mut start) = (before, 0);
        for ends in self.ends.chunks(MOST_PACKED) {
            let end = ends.last().copied().unwrap_or(start);
            n += count(ends.len());
            insert.execute(params![queue, n, self.at, self.packed.get(start..end)])?;
            start = end;
        }
        if before / SLACK != last / SLACK {
            let mut trim = file.prepare_cached("DELETE FROM lariat_event WHERE queue = ?1 AND n <= ?2")?;
            trim.execute([queue, last - KEPT])?;
        }
        self.truncate(0);
        Ok(())
    }
}

fn count(events: usize) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}

/// Notes one event, to be written with the batch.
pub(super) fn emit(
    tx: &mut Tx<'_>,
    queue: i64,
    kind: Kind,
    job: Option<&str>,
    value: Option<&str>,
    prev: Option<JobState>,
) -> Result<(), Fault> {
    let at = tx.wall;
    let (row, unwritten) = tx.edit_with_events(queue)?;
    let event: Packed<&str> = (kind as i64, job, value, prev.map(queue::code));
    rmp_serde::encode::write(&mut unwritten.packed, &event)
        .map_err(|e| Error::new(ErrorKind::Store, "an event cannot be packed").because(e))?;
    unwritten.ends.push(unwritten.packed.len());
    unwritten.at = at;
    row.last_event += 1;
    Ok(())
}

/// The id before all events.
const BEGINNING: &str = "0-0";

/// Where the stream ends now.
pub(super) fn end(file: &Connection, key: &QueueKey) -> Result<StoredEvents, Fault> {
    let Some(queue) = queue::find(file, key)? else { return Ok(nothing(BEGINNING)) };
    let mut last = file.prepare_cached("SELECT at, n FROM lariat_event WHERE queue = ?1 ORDER BY n DESC LIMIT 1")?;
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
    // A queue that was forgotten counts anew: all that is there came behind what was read before.
    let mut newest = file.prepare_cached("SELECT ifnull(max(n), 0) FROM lariat_event WHERE queue = ?1")?;
    let n = if n > newest.query_row([queue], |row| row.get(0))? { 0 } else { n };
    let since = if n == 0 { at } else { i64::MIN };
    let mut statement = file
        .prepare_cached("SELECT n, at, packed FROM lariat_event WHERE queue = ?1 AND n > ?2 AND at >= ?3 ORDER BY n")?;
    let mut rows = statement.query(params![queue, n, since])?;
    let mut events = Vec::new();
    while events.len() < most
        && let Some(row) = rows.next()?
    {
        let (last, at): (i64, i64) = (row.get(0)?, row.get(1)?);
        let unpacked = unpack(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?;
        let numbers = last - count(unpacked.len()) + 1..;
        let behind = numbers.zip(unpacked).filter(|(number, _)| *number > n);
        events.extend(behind.take(most - events.len()).map(|(number, event)| stored(id(at, number), event)));
    }
    let upto = events.last().map_or_else(|| after.to_owned(), |event| event.id.clone());
    Ok(StoredEvents { events, upto })
}

fn id(at: i64, n: i64) -> String {
    format!("{at}-{n}")
}

fn unpack(mut packed: &[u8]) -> Result<Vec<Packed<String>>, Fault> {
    let mut events = Vec::new();
    while !packed.is_empty() {
        let read = rmp_serde::from_read(&mut packed);
        events.push(read.map_err(|e| Error::new(ErrorKind::Data, "an event cannot be read").because(e))?);
    }
    Ok(events)
}

fn stored(id: String, (kind, job, value, prev): Packed<String>) -> StoredEvent {
    let (name, value_name) =
        usize::try_from(kind).ok().and_then(|kind| NAMES.get(kind)).copied().unwrap_or(("unknown", "value"));
    let mut fields = Vec::with_capacity(3);
    if let Some(job) = job {
        fields.push(("jobId".to_owned(), job));
    }
    if let Some(value) = value {
        fields.push((value_name.to_owned(), value));
    }
    if let Some(prev) = prev.and_then(state) {
        fields.push(("prev".to_owned(), prev.as_str().to_owned()));
    }
    StoredEvent { id, name: name.to_owned(), fields }
}
