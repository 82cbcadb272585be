//! Changing one job.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;

use super::clock::ms;
use super::events::Kind;
use super::fault::Fault;
use super::queue::QueueKey;
use super::tx::Tx;
use super::work::{Found, Side, Work};
use super::writer::{Turn, Writer};
use crate::error::{Error, Refusal};
use crate::job::JobState;
use crate::store::change::{Change, ChangeJob, Changed};
use crate::store::options;

pub(super) async fn change(
    writer: &Writer,
    key: &Arc<QueueKey>,
    change: &ChangeJob,
    deadline: Duration,
) -> Result<Changed, Error> {
    let (key, change) = (Arc::clone(key), change.clone());
    writer.call(Turn::InOrder, deadline, move |tx| write(tx, &key, &change)).await
}

fn write(tx: &mut Tx<'_>, key: &QueueKey, change: &ChangeJob) -> Result<Changed, Fault> {
    let mut work = Work::on(tx, key, change.now.as_millis())?;
    let id = change.id.as_str();
    let Some(job) = work.find(id)? else {
        // A removal looks at the lock first, as on Redis, where a record may be gone and its lock still there.
        let by_holder = change.holder.is_some() && matches!(change.change, Change::Remove { .. });
        return Err(if by_holder { Refusal::MissingLock } else { Refusal::MissingJob }.into());
    };
    if let Some(holder) = &change.holder {
        job.check_held(holder, work.tx.boot)?;
    }
    let log_rows = match &change.change {
        Change::Log { rows, keep } => work.log(job.row, rows, *keep)?,
        Change::TrimLog { keep } => work.log(job.row, &[], Some(*keep))?,
        other => {
            work.change(id, &job, other)?;
            0
        }
    };
    Ok(Changed { log_rows })
}

impl Work<'_, '_> {
    fn change(&mut self, id: &str, job: &Found, change: &Change) -> Result<(), Fault> {
        match change {
            Change::Progress(value) => {
                self.tx.run("UPDATE lariat_job SET progress = ?2 WHERE row = ?1", params![job.row, value.get()])?;
                self.emit(Kind::Progress, id, Some(value.get()), None)
            }
            Change::Data(value) => {
                self.tx.run("UPDATE lariat_payload SET data = ?2 WHERE row = ?1", params![job.row, value.get()])?;
                Ok(())
            }
            Change::Delay(delay) => self.change_delay(id, job, ms(*delay)),
            Change::Priority { priority, lifo } => self.change_priority(job, i64::from(*priority), *lifo),
            Change::Promote => self.promote_one(id, job),
            Change::Reprocess { from, reset_made, reset_started } => {
                let ended = matches!(job.state, JobState::Completed | JobState::Failed);
                if !ended || from.is_some_and(|from| from != job.state) {
                    return Err(Refusal::NotInState.into());
                }
                self.reprocess(id, job, *reset_made, *reset_started)
            }
            Change::Remove { children } => self.remove_job(id, *children),
            Change::Log { .. } | Change::TrimLog { .. } => Ok(()),
        }
    }

    /// Appends rows and keeps the newest; how many there are then. Rows are numbered without a gap.
    fn log(&mut self, job: i64, rows: &[String], keep: Option<u64>) -> Result<u64, Fault> {
        let ends = "SELECT ifnull(min(n), 1), ifnull(max(n), 0) FROM lariat_log WHERE job = ?1";
        let (first, mut last): (i64, i64) =
            self.tx.one(ends, [job], |row| Ok((row.get(0)?, row.get(1)?)))?.unwrap_or((1, 0));
        for line in rows {
            last += 1;
            self.tx.run("INSERT INTO lariat_log (job, n, line) VALUES (?1, ?2, ?3)", params![job, last, line])?;
        }
        let all = last - first + 1;
        let kept = keep.and_then(|keep| i64::try_from(keep).ok()).map_or(all, |keep| keep.min(all));
        if kept < all {
            self.tx.run("DELETE FROM lariat_log WHERE job = ?1 AND n <= ?2", [job, last - kept])?;
        }
        Ok(u64::try_from(kept).unwrap_or(0))
    }

    fn change_delay(&mut self, id: &str, job: &Found, delay: i64) -> Result<(), Fault> {
        if job.state != JobState::Delayed {
            return Err(Refusal::NotInState.into());
        }
        let due = self.now.saturating_add(delay);
        let spot = self.spot(JobState::Delayed, due)?;
        self.tx.run("UPDATE lariat_job SET delay = ?2 WHERE row = ?1", [job.row, delay])?;
        self.put(job.row, JobState::Delayed, spot)?;
        self.emit(Kind::Delayed, id, Some(&due.to_string()), None)
    }

    /// A job that is ready goes to its new place; in any other state only the record changes.
    fn change_priority(&mut self, job: &Found, priority: i64, first: bool) -> Result<(), Fault> {
        self.tx.run("UPDATE lariat_job SET priority = ?2 WHERE row = ?1", [job.row, priority])?;
        if matches!(job.state, JobState::Waiting | JobState::Prioritized) {
            let spot = self.ready_spot(priority, if first { Side::Before } else { Side::Behind })?;
            self.put(job.row, job.state, spot)?;
        }
        Ok(())
    }

    fn promote_one(&mut self, id: &str, job: &Found) -> Result<(), Fault> {
        if job.state != JobState::Delayed {
            return Err(Refusal::NotInState.into());
        }
        let spot = self.ready_spot(job.priority, Side::Behind)?;
        self.tx.run("UPDATE lariat_job SET delay = 0 WHERE row = ?1", [job.row])?;
        self.put(job.row, JobState::Delayed, spot)?;
        self.emit(Kind::Waiting, id, None, Some(JobState::Delayed))
    }

    /// A finished job becomes ready again, where its options say.
    fn reprocess(&mut self, id: &str, job: &Found, reset_made: bool, reset_started: bool) -> Result<(), Fault> {
        let sql = "SELECT options FROM lariat_payload WHERE row = ?1";
        let options: Option<String> = self.tx.one(sql, [job.row], |row| row.get(0))?;
        let lifo = options.is_some_and(|text| options::decode(&text).is_ok_and(|options| options.lifo));
        let spot = self.ready_spot(job.priority, Side::of(lifo, job.priority))?;
        self.tx.run(
            "UPDATE lariat_job SET finished_on = NULL, processed_on = NULL, return_value = NULL,
                    failed_reason = CASE WHEN ?2 THEN NULL ELSE failed_reason END,
                    made = CASE WHEN ?3 THEN 0 ELSE made END, starts = CASE WHEN ?4 THEN 0 ELSE starts END
             WHERE row = ?1",
            params![job.row, job.state == JobState::Failed, reset_made, reset_started],
        )?;
        self.put(job.row, job.state, spot)?;
        if job.linked {
            self.wait_again(id, job.row)?;
        }
        self.emit(Kind::Waiting, id, None, Some(job.state))
    }
}
