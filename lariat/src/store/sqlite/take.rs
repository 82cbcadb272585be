//! Handing out jobs: those whose time has come are promoted, then as many are made active as limits allow.

use std::time::Duration;

use rusqlite::{CachedStatement, params};

use super::clock::{ms, span};
use super::events::Kind;
use super::fault::Fault;
use super::number::{id_of, number_of};
use super::queue::code;
use super::record::{COLUMNS, RawJob, custom_id};
use super::wake::next_due;
use super::work::{Side, Work};
use crate::job::JobState;
use crate::store::exchange::{Exchange, Hint, RateLimit};
use crate::time::Timestamp;

/// Delayed jobs that one call makes ready at most.
const MOST_PROMOTED: i64 = 1000;
/// Ids that one call looks at beyond those that it is to hand out.
const MOST_DROPPED: usize = 256;

/// Makes a job active.
const START: &str =
    "UPDATE lariat_job SET state = 1, rank = 0, place = ?2, token = ?3, lock_until = ?4, suspect = 0, processed_on = ?5,
            starts = starts + 1, processed_by = ifnull(?6, processed_by)
     WHERE row = ?1";

/// What was handed out.
#[derive(Default)]
pub(super) struct Taking {
    pub jobs: Vec<RawJob>,
    /// Ids that could not be handed out.
    pub dropped: Vec<String>,
}

/// A limit of starts in force for one call.
struct Limit {
    max: i64,
    window: i64,
}

impl Work<'_, '_> {
    /// Makes delayed jobs ready whose time has come. The earliest go first, whatever their `lifo` says.
    pub(super) fn promote(&mut self) -> Result<(), Fault> {
        if self.state()?.count(JobState::Delayed) == 0 {
            return Ok(());
        }
        let due = self.tx.all(
            "SELECT j.row, j.priority, p.custom FROM lariat_job j LEFT JOIN lariat_payload p ON p.row = j.row
             WHERE queue = ?1 AND state = ?2 AND rank <= ?3 ORDER BY rank, place LIMIT ?4",
            params![self.queue, code(JobState::Delayed), self.now, MOST_PROMOTED],
            |row| Ok((row.get(0)?, row.get(1)?, custom_id(row, 2)?)),
        )?;
        for (row, priority, custom) in due {
            let spot = self.ready_spot(priority, Side::Behind)?;
            self.tx.run(
                "UPDATE lariat_job SET state = ?2, rank = ?3, place = ?4, delay = 0 WHERE row = ?1",
                params![row, code(spot.state), spot.rank, spot.place],
            )?;
            self.moved(JobState::Delayed, spot.state)?;
            self.emit(Kind::Waiting, id_of(row, custom).as_str(), None, Some(JobState::Delayed))?;
        }
        Ok(())
    }

    /// Hands out up to `want` jobs, as that many fetches one after the other would. The hint says what to do when fewer
    /// came than wanted.
    pub(super) fn take(&mut self, exchange: &Exchange, taking: &mut Taking) -> Result<Hint, Fault> {
        self.promote()?;
        let limit = self.limit(exchange.limiter)?;
        let mut looked = 0;
        while taking.jobs.len() < exchange.want && looked < exchange.want + MOST_DROPPED {
            let room = match self.allowance(exchange.want - taking.jobs.len(), limit.as_ref())? {
                Ok(room) => room,
                Err(hint) => return Ok(hint),
            };
            let next = self.next(room)?;
            if next.is_empty() {
                let due = if self.state()?.count(JobState::Delayed) > 0 {
                    next_due(self.tx.connection, self.queue)?
                } else {
                    None
                };
                return Ok(due.map_or(Hint::Wait, |due| Hint::DueAt(Timestamp::from_millis(due))));
            }
            looked += next.len();
            let mut counted = 0;
            let mut start = self.tx.prepare(START)?;
            for job in next {
                counted += i64::from(self.activate(job, &mut start, exchange, taking)?);
            }
            self.count_started(counted, limit.as_ref())?;
        }
        Ok(Hint::Again)
    }

    /// The queue's limit, or the worker's where the queue has none; the worker's window, where it has one, before the
    /// queue's.
    fn limit(&mut self, worker: Option<RateLimit>) -> Result<Option<Limit>, Fault> {
        let queue = self.state()?;
        let max = queue.rate_max.or(worker.map(|limit| i64::try_from(limit.max).unwrap_or(i64::MAX)));
        let window = worker.map(|limit| ms(limit.duration)).or(queue.rate_ms);
        Ok(max.zip(window).filter(|(_, window)| *window >= 1).map(|(max, window)| Limit { max, window }))
    }

    /// How many of `want` may start, or why none may.
    fn allowance(&mut self, want: usize, limit: Option<&Limit>) -> Result<Result<usize, Hint>, Fault> {
        let boot = self.tx.boot;
        let queue = self.state()?;
        let mut room = i64::try_from(want).unwrap_or(i64::MAX);
        if let Some(limit) = limit {
            let left = queue.started_until - boot;
            let started = if left > 0 { queue.started } else { 0 };
            if started >= limit.max {
                return Ok(Err(Hint::LimitedFor(span(left).max(Duration::from_millis(1)))));
            }
            room = room.min(limit.max - started);
        }
        if queue.paused {
            return Ok(Err(Hint::Paused));
        }
        if let Some(most) = queue.concurrency {
            room = room.min(most - queue.count(JobState::Active));
        }
        Ok(usize::try_from(room).ok().filter(|room| *room > 0).ok_or(Hint::Paused))
    }

    fn count_started(&mut self, starts: i64, limit: Option<&Limit>) -> Result<(), Fault> {
        let Some(limit) = limit.filter(|_| starts > 0) else { return Ok(()) };
        let boot = self.tx.boot;
        let queue = self.edit()?;
        if queue.started_until > boot {
            queue.started = queue.started.saturating_add(starts);
        } else {
            (queue.started, queue.started_until) = (starts, boot.saturating_add(limit.window));
        }
        Ok(())
    }

    /// The next jobs to run: first those without a priority.
    fn next(&mut self, most: usize) -> Result<Vec<RawJob>, Fault> {
        let mut jobs = Vec::new();
        for state in [JobState::Waiting, JobState::Prioritized] {
            if jobs.is_empty() && self.state()?.count(state) > 0 {
                let sql = format!(
                    "SELECT {COLUMNS} FROM lariat_job j LEFT JOIN lariat_payload p ON p.row = j.row
                     WHERE queue = ?1 AND state = ?2 ORDER BY rank, place LIMIT ?3"
                );
                let most = i64::try_from(most).unwrap_or(i64::MAX);
                jobs = self.tx.all(&sql, params![self.queue, code(state), most], RawJob::read)?;
            }
        }
        Ok(jobs)
    }

    /// Makes one job active; whether it counts for a rate limit.
    fn activate(
        &mut self,
        mut job: RawJob,
        start: &mut CachedStatement<'_>,
        exchange: &Exchange,
        taking: &mut Taking,
    ) -> Result<bool, Fault> {
        let from = job.state().unwrap_or(JobState::Waiting);
        if job.name.is_none() {
            self.tx.run("DELETE FROM lariat_job WHERE row = ?1", [job.row])?;
            self.edit()?.leaves(from);
            taking.dropped.push(number_of(job.row).to_string());
            return Ok(false);
        }
        if job.no_id {
            self.tx.run("UPDATE lariat_payload SET custom = NULL WHERE row = ?1", [job.row])?;
        }
        let lease = &exchange.lease;
        let place = self.edit()?.behind();
        start.execute(params![
            job.row,
            place,
            token(exchange, taking.jobs.len()),
            self.tx.boot.saturating_add(ms(lease.lock_duration)),
            self.now,
            lease.worker,
        ])?;
        self.moved(from, JobState::Active)?;
        // BullMQ says so of every job, wherever it comes from.
        self.emit(Kind::Active, job.id.as_str(), None, Some(JobState::Waiting))?;
        job.processed_on = Some(self.now);
        job.starts += 1;
        if let Some(worker) = &lease.worker {
            job.processed_by = Some(worker.to_string());
        }
        let counts = job.deferred_failure.is_none();
        taking.jobs.push(job);
        Ok(counts)
    }
}

/// The token of the call's job in this place.
pub(super) fn token(exchange: &Exchange, place: usize) -> String {
    format!("{}:{}", exchange.call.base, exchange.lease.first + place as u64)
}
