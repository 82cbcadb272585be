//! A job's rows as a record. What cannot be read gives words that name the column, never a panic.

use rusqlite::Row;
use rusqlite::types::{FromSql, ValueRef};
use serde_json::value::RawValue;

use super::clock::span;
use super::number::id_of;
use super::queue::state;
use crate::id::JobId;
use crate::job::{JobRecord, JobState, ParentRef};
use crate::store::options;
use crate::time::Timestamp;

/// The columns that [`RawJob::read`] expects, of `job` and `payload` (as `p`).
pub(super) const COLUMNS: &str = "j.row, p.custom, p.name, p.data, p.options, p.timestamp, p.parent, p.scheduler,
    p.deduplication, j.state, j.delay, j.priority, j.made, j.starts, j.stalls, j.processed_on,
    j.finished_on, j.return_value, j.failed_reason, j.stacktrace, j.progress, j.processed_by,
    j.deferred_failure";

/// A job as it is stored. Read in the writer's time, made a record of in the caller's.
#[derive(Debug)]
pub(super) struct RawJob {
    pub row: i64,
    pub id: JobId,
    pub name: Option<String>,
    data: Option<String>,
    options: Option<String>,
    timestamp: Option<i64>,
    parent: Option<String>,
    scheduler: Option<String>,
    deduplication: Option<String>,
    state: i64,
    delay: i64,
    pub priority: i64,
    made: i64,
    pub starts: i64,
    stalls: i64,
    pub processed_on: Option<i64>,
    finished_on: Option<i64>,
    return_value: Option<String>,
    failed_reason: Option<String>,
    stacktrace: Option<String>,
    progress: Option<String>,
    pub processed_by: Option<String>,
    pub deferred_failure: Option<String>,
    /// It was given an id that nobody can say.
    pub no_id: bool,
    /// The column that holds no UTF-8.
    garbled: Option<String>,
}

/// The columns of a row, one after the other.
struct Columns<'row, 'rows> {
    row: &'row Row<'rows>,
    next: usize,
    garbled: Option<String>,
}

impl Columns<'_, '_> {
    fn value<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        self.next += 1;
        self.row.get(self.next - 1)
    }

    fn text(&mut self) -> rusqlite::Result<Option<String>> {
        let column = self.next;
        self.next += 1;
        let mut garbled = false;
        let text = text_or(self.row, column, |bytes| {
            garbled = true;
            lossy(bytes)
        })?;
        if garbled {
            self.garbled = Some(self.row.as_ref().column_name(column)?.to_owned());
        }
        Ok(text)
    }
}

/// A text, or what stands for bytes that are no UTF-8. Those (another program has written them) are what is wrong with one
/// job: they must not fail the call that comes upon them.
fn text_or(
    row: &Row<'_>,
    column: usize,
    instead: impl FnOnce(&[u8]) -> Option<String>,
) -> rusqlite::Result<Option<String>> {
    match (row.get(column), row.get_ref(column)?) {
        (Err(_), ValueRef::Text(bytes)) => Ok(instead(bytes)),
        (text, _) => text,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands for a text that may be missing")]
fn lossy(bytes: &[u8]) -> Option<String> {
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// The id that was given for a job: None where none was, or one that nobody can say. Its number stands for it then.
pub(super) fn custom_id(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    text_or(row, column, |_| None)
}

/// A text, with a mark in place of what is no UTF-8.
pub(super) fn readable(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    text_or(row, column, lossy)
}

impl RawJob {
    /// From a row of [`COLUMNS`].
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<RawJob> {
        let mut at = Columns { row, next: 2, garbled: None };
        let (number, mut no_id) = (row.get(0)?, false);
        let custom = text_or(row, 1, |_| {
            no_id = true;
            None
        })?;
        Ok(RawJob {
            row: number,
            id: id_of(number, custom),
            no_id,
            name: at.text()?,
            data: at.text()?,
            options: at.text()?,
            timestamp: at.value()?,
            parent: at.text()?,
            scheduler: at.text()?,
            deduplication: at.text()?,
            state: at.value()?,
            delay: at.value()?,
            priority: at.value()?,
            made: at.value()?,
            starts: at.value()?,
            stalls: at.value()?,
            processed_on: at.value()?,
            finished_on: at.value()?,
            return_value: at.text()?,
            failed_reason: at.text()?,
            stacktrace: at.text()?,
            progress: at.text()?,
            processed_by: at.text()?,
            deferred_failure: at.text()?,
            garbled: at.garbled,
        })
    }

    pub(super) fn state(&self) -> Option<JobState> {
        state(self.state)
    }

    /// The record, or what is wrong with it.
    pub(super) fn record(self) -> Result<Box<JobRecord>, String> {
        let name = self.name.ok_or("its payload is missing")?;
        if let Some(column) = self.garbled {
            return Err(format!("column {column}: is not UTF-8"));
        }
        Ok(Box::new(JobRecord {
            id: self.id,
            name,
            data: json("data", self.data)?.unwrap_or_default(),
            options: options::decode(self.options.as_deref().unwrap_or("{}"))
                .map_err(|why| format!("column options: {why}"))?,
            timestamp: Timestamp::from_millis(self.timestamp.unwrap_or(0)),
            delay: span(self.delay),
            priority: count(self.priority),
            attempts_made: count(self.made),
            attempts_started: count(self.starts),
            stalled_counter: count(self.stalls),
            processed_on: self.processed_on.map(Timestamp::from_millis),
            finished_on: self.finished_on.map(Timestamp::from_millis),
            return_value: json("return_value", self.return_value)?,
            failed_reason: self.failed_reason,
            stacktrace: traces(self.stacktrace.as_deref())?,
            progress: json("progress", self.progress)?,
            processed_by: self.processed_by,
            parent: parent(self.parent.as_deref())?,
            scheduler: self.scheduler,
            deduplication_id: self.deduplication,
            deferred_failure: self.deferred_failure,
        }))
    }
}

fn count(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

fn json(column: &str, text: Option<String>) -> Result<Option<Box<RawValue>>, String> {
    text.map(RawValue::from_string).transpose().map_err(|e| format!("column {column}: is not JSON: {e}"))
}

fn traces(text: Option<&str>) -> Result<Vec<String>, String> {
    text.map_or(Ok(Vec::new()), serde_json::from_str).map_err(|e| format!("column stacktrace: {e}"))
}

fn parent(text: Option<&str>) -> Result<Option<ParentRef>, String> {
    let Some(text) = text else { return Ok(None) };
    let found: serde_json::Value = serde_json::from_str(text).map_err(|e| format!("column parent: {e}"))?;
    let part = |name: &str| found.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    Ok(Some(ParentRef { id: part("id"), queue_key: part("queueKey") }).filter(|parent| !parent.id.is_empty()))
}
