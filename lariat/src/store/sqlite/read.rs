//! Looking into a queue.

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::clock::{boot_ms, span};
use super::configure::BY_HAND;
use super::fault::Fault;
use super::number::{as_number, id_of, job_row};
use super::queue::{self, QueueKey, QueueState, code};
use super::record::{COLUMNS, RawJob, custom_id, readable};
use crate::error::{Error, ErrorKind};
use crate::id::JobId;
use crate::job::{JobState, StoredJob};
use crate::store::exchange::RateLimit;
use crate::store::view::{Counts, DamagedJob, HeldJob, JobPage, LogPage, Metrics, Overview, Page, WorkerInfo, masked};
use crate::time::Timestamp;

/// A worker that has not been heard of for so long, in ms, and holds no job, is gone.
const GONE_AFTER: i64 = 30_000;

fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params, read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The row of a job, where there is one of this id.
fn row_of(connection: &Connection, queue: i64, id: &str) -> Result<Option<i64>, Fault> {
    if let Some(number) = as_number(id) {
        let mut statement =
            connection.prepare_cached("SELECT row FROM lariat_payload WHERE row = ?1 AND custom IS NULL")?;
        let found = statement.query_row([job_row(queue, number)], |row| row.get(0)).optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    let mut statement = connection.prepare_cached("SELECT job FROM lariat_custom_id WHERE queue = ?1 AND id = ?2")?;
    Ok(statement.query_row(params![queue, id], |row| row.get(0)).optional()?)
}

pub(super) fn job(connection: &Connection, key: &QueueKey, id: &JobId) -> Result<Option<StoredJob>, Fault> {
    let Some(queue) = queue::find(connection, key)? else { return Ok(None) };
    let Some(row) = row_of(connection, queue, id.as_str())? else { return Ok(None) };
    let sql =
        format!("SELECT {COLUMNS} FROM lariat_job j LEFT JOIN lariat_payload p ON p.row = j.row WHERE j.row = ?1");
    let raw = connection.prepare_cached(&sql)?.query_row([row], RawJob::read).optional()?;
    let Some(raw) = raw else { return Ok(None) };
    let state = raw.state();
    let record = raw.record().map_err(|why| Error::new(ErrorKind::Data, why).for_job(id))?;
    Ok(Some(StoredJob { record: *record, state }))
}

pub(super) fn logs(
    connection: &Connection,
    key: &QueueKey,
    id: &JobId,
    from: u64,
    count: u64,
) -> Result<LogPage, Fault> {
    let Some(queue) = queue::find(connection, key)? else { return Ok(LogPage::default()) };
    let Some(job) = row_of(connection, queue, id.as_str())? else { return Ok(LogPage::default()) };
    let ends = "SELECT ifnull(min(n), 1), ifnull(max(n), 0) FROM lariat_log WHERE job = ?1";
    let (first, last): (i64, i64) =
        connection.prepare_cached(ends)?.query_row([job], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows = all(
        connection,
        "SELECT line FROM lariat_log WHERE job = ?1 AND n >= ?2 ORDER BY n LIMIT ?3",
        params![job, first.saturating_add(number(from)), number(count)],
        |row| row.get(0),
    )?;
    Ok(LogPage { rows, total: u64::try_from(last - first + 1).unwrap_or(0) })
}

/// A position or a number of rows as SQLite counts.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn overview(connection: &Connection, key: &QueueKey) -> Result<Overview, Fault> {
    let Some(row) = queue::find(connection, key)? else { return Ok(Overview::default()) };
    let queue = QueueState::read(connection, row)?.unwrap_or_default();
    let count = |state| u64::try_from(queue.count(state)).unwrap_or(0);
    let set = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
    let left = queue.started_until - boot_ms();
    let reached = left > 0 && queue.started >= queue.rate_max.unwrap_or(BY_HAND).min(BY_HAND);
    Ok(Overview {
        paused: queue.paused,
        counts: Counts {
            waiting: count(JobState::Waiting),
            active: count(JobState::Active),
            delayed: count(JobState::Delayed),
            prioritized: count(JobState::Prioritized),
            completed: count(JobState::Completed),
            failed: count(JobState::Failed),
            waiting_children: count(JobState::WaitingChildren),
        },
        concurrency: set(queue.concurrency),
        rate_limit: set(queue.rate_max)
            .zip(queue.rate_ms)
            .map(|(max, window)| RateLimit { max, duration: span(window) }),
        limited_for: reached.then(|| span(left)),
    })
}

pub(super) fn page(connection: &Connection, key: &QueueKey, page: Page) -> Result<JobPage, Fault> {
    let mut found = JobPage { next: page.from, ..JobPage::default() };
    let Some(queue) = queue::find(connection, key)? else { return Ok(found) };
    let order = if page.oldest_first { "ORDER BY rank, place" } else { "ORDER BY rank DESC, place DESC" };
    // Who is listed without a record is passed over.
    let sql = format!(
        "SELECT {COLUMNS} FROM lariat_job j JOIN lariat_payload p ON p.row = j.row
         WHERE queue = ?1 AND state = ?2 {order} LIMIT ?3 OFFSET ?4"
    );
    let params = params![queue, code(page.state), number(page.count), number(page.from)];
    for raw in all(connection, &sql, params, RawJob::read)? {
        found.next = found.next.saturating_add(1);
        let id = raw.id.to_string();
        match raw.record() {
            Ok(record) => found.jobs.push(*record),
            Err(why) => found.damaged.push(DamagedJob { id, why }),
        }
    }
    Ok(found)
}

pub(super) fn priorities(connection: &Connection, key: &QueueKey, priorities: &[u32]) -> Result<Vec<u64>, Fault> {
    let Some(queue) = queue::find(connection, key)? else { return Ok(vec![0; priorities.len()]) };
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM lariat_job WHERE queue = ?1 AND state = ?2 AND rank = ?3")?;
    let mut count = |priority: u32| {
        let state = if priority == 0 { JobState::Waiting } else { JobState::Prioritized };
        let found = statement.query_row(params![queue, code(state), priority], |row| row.get::<_, i64>(0))?;
        Ok(u64::try_from(found).unwrap_or(0))
    };
    priorities.iter().map(|priority| count(*priority)).collect()
}

pub(super) fn held(connection: &Connection, key: &QueueKey, most: u64) -> Result<Vec<HeldJob>, Fault> {
    let Some(queue) = queue::find(connection, key)? else { return Ok(Vec::new()) };
    let boot = boot_ms();
    let held = |row: &Row<'_>| {
        let left = row.get::<_, Option<i64>>(4)?.unwrap_or(0) - boot;
        let token = row.get::<_, Option<String>>(3)?.filter(|_| left > 0);
        Ok(HeldJob {
            id: id_of(row.get(0)?, custom_id(row, 1)?),
            name: readable(row, 2)?,
            token: token.map(|token| masked(&token)),
            worker: readable(row, 5)?,
            since: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
            left: (left > 0).then(|| span(left)),
        })
    };
    all(
        connection,
        "SELECT j.row, p.custom, p.name, token, lock_until, processed_by, processed_on
         FROM lariat_job j LEFT JOIN lariat_payload p ON p.row = j.row
         WHERE queue = ?1 AND state = ?2 ORDER BY rank, place LIMIT ?3",
        params![queue, code(JobState::Active), number(most)],
        held,
    )
}

/// Workers that have made an exchange of late, or hold jobs. The lanes of one worker begin with its uuid.
pub(super) fn workers(connection: &Connection, key: &QueueKey) -> Result<Vec<WorkerInfo>, Fault> {
    let Some(queue) = queue::find(connection, key)? else { return Ok(Vec::new()) };
    let boot = boot_ms();
    all(
        connection,
        "SELECT name, address, min(since), max(seen) FROM lariat_lane WHERE queue = ?1 AND address IS NOT NULL AND (seen > ?2 OR EXISTS (
             SELECT 1 FROM lariat_job j WHERE j.queue = ?1 AND j.state = ?3 AND j.lock_until > ?4
             AND substr(j.token, 1, length(lariat_lane.base)) = lariat_lane.base))
         GROUP BY substr(base, 1, 36) ORDER BY min(since), base",
        params![queue, boot - GONE_AFTER, code(JobState::Active), boot],
        |row| {
            Ok(WorkerInfo {
                name: row.get(0)?,
                address: row.get(1)?,
                connected_for: span(boot - row.get::<_, i64>(2)?),
                idle_for: span(boot - row.get::<_, i64>(3)?),
            })
        },
    )
}

/// By the minute, those without an end included; the newest one, which may not be over, is not among them.
pub(super) fn metrics(connection: &Connection, key: &QueueKey, state: JobState, count: u64) -> Result<Metrics, Fault> {
    let Some(queue) = queue::find(connection, key)? else { return Ok(Metrics::default()) };
    let mut known =
        connection.prepare_cached("SELECT ended, since FROM lariat_metric_total WHERE queue = ?1 AND state = ?2")?;
    let known = known.query_row(params![queue, code(state)], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((total, since)): Option<(i64, i64)> = known else { return Ok(Metrics::default()) };
    let minutes: Vec<(i64, i64, i64)> = all(
        connection,
        "SELECT minute, ended, at FROM lariat_metric WHERE queue = ?1 AND state = ?2 ORDER BY minute DESC",
        params![queue, code(state)],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let Some(((newest, _, written), older)) = minutes.split_first() else { return Ok(Metrics::default()) };
    let length = usize::try_from((newest - since).min(number(count))).unwrap_or(0);
    let mut per_minute = vec![0; length];
    for (minute, ended, _) in older {
        let place = usize::try_from(newest - 1 - minute).ok();
        if let Some(slot) = place.and_then(|place| per_minute.get_mut(place)) {
            *slot = u64::try_from(*ended).unwrap_or(0);
        }
    }
    Ok(Metrics {
        total: u64::try_from(total).unwrap_or(0),
        per_minute,
        written: Some(Timestamp::from_millis(*written)),
    })
}

/// The names of the queues under a prefix.
pub(super) fn queues(connection: &Connection, prefix: &str) -> Result<Vec<String>, Fault> {
    all(connection, "SELECT name FROM lariat_queue WHERE prefix = ?1 ORDER BY name", [prefix], |row| row.get(0))
}
