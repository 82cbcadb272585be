//! Deleting jobs with all that belongs to them, and what that means to their parents.

use std::collections::HashSet;

use rusqlite::params;

use super::events::Kind;
use super::fault::Fault;
use super::number::id_of;
use super::queue::QueueKey;
use super::record::custom_id;
use super::work::{Found, Side, Work};
use crate::error::Refusal;
use crate::job::JobState;

/// How a parent keeps track of a child; the number is what is stored.
pub(super) const PENDING: i64 = 0;

impl Work<'_, '_> {
    /// Deletes ended jobs; no parent waits for them any longer.
    pub(super) fn remove_rows(&mut self, rows: &[i64], from: JobState) -> Result<(), Fault> {
        for row in rows {
            let parent =
                self.tx.one("SELECT linked FROM lariat_job WHERE row = ?1", [*row], |columns| columns.get(0))?;
            if parent == Some(true) {
                self.unlink(*row)?;
            }
            self.remove_row(*row, from)?;
        }
        Ok(())
    }

    /// Deletes one job of this state.
    pub(super) fn remove_row(&mut self, row: i64, from: JobState) -> Result<(), Fault> {
        self.tx.run("DELETE FROM lariat_job WHERE row = ?1", [row])?;
        let sql = "DELETE FROM lariat_payload WHERE row = ?1 RETURNING custom";
        let custom = self.tx.one(sql, [row], |columns| custom_id(columns, 0))?;
        if let Some(id) = custom.flatten() {
            self.tx.run("DELETE FROM lariat_custom_id WHERE queue = ?1 AND id = ?2", params![self.queue, id])?;
        }
        self.tx.run("DELETE FROM lariat_log WHERE job = ?1", [row])?;
        self.tx.run("DELETE FROM lariat_child WHERE parent = ?1", [row])?;
        self.edit()?.leaves(from);
        Ok(())
    }

    /// The parent of a job waits for it no longer, and goes to the front of its queue when it was the last one.
    pub(super) fn unlink(&mut self, row: i64) -> Result<(), Fault> {
        let sql = "SELECT parent_key, custom FROM lariat_payload WHERE row = ?1 AND parent_key IS NOT NULL";
        let found = self.tx.one(sql, [row], |columns| Ok((columns.get::<_, String>(0)?, custom_id(columns, 1)?)))?;
        let Some((parent_key, custom)) = found else { return Ok(()) };
        let child = self.key.job(id_of(row, custom).as_str());
        self.at(&parent_key, |there, id| {
            let Some(parent) = there.find(id)? else { return Ok(()) };
            let last = there.no_longer_pending(&parent, &child)? && parent.pending == 1;
            if last && parent.state == JobState::WaitingChildren {
                let spot = there.ready_spot(0, Side::Before)?;
                there.put(parent.row, JobState::WaitingChildren, spot)?;
                there.emit(Kind::Waiting, id, None, Some(JobState::WaitingChildren))?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Takes a child off those that its parent waits for; whether it was among them.
    pub(super) fn no_longer_pending(&mut self, parent: &Found, child: &str) -> Result<bool, Fault> {
        let sql = "DELETE FROM lariat_child WHERE parent = ?1 AND child = ?2 AND state = ?3";
        let gone = self.tx.run(sql, params![parent.row, child, PENDING])? > 0;
        if gone {
            self.tx.run("UPDATE lariat_job SET pending = pending - 1 WHERE row = ?1", [parent.row])?;
        }
        Ok(gone)
    }

    /// Deletes a job wherever it is, and with `deep` the jobs below it.
    pub(super) fn remove_job(&mut self, id: &str, deep: bool) -> Result<(), Fault> {
        let Some(job) = self.find(id)? else { return Err(Refusal::MissingJob.into()) };
        if self.is_held(&job, deep, &mut HashSet::new())? {
            return Err(Refusal::LockTaken.into());
        }
        self.remove_from(id, &job, deep, &mut HashSet::new())
    }

    fn children(&mut self, parent: i64, pending_only: bool) -> Result<Vec<String>, Fault> {
        let most = if pending_only { PENDING } else { i64::MAX };
        let sql = "SELECT child FROM lariat_child WHERE parent = ?1 AND state <= ?2 ORDER BY state DESC";
        self.tx.all(sql, [parent, most], |columns| columns.get(0))
    }

    /// Whether a worker holds the job or a pending one below it.
    fn is_held(&mut self, job: &Found, deep: bool, seen: &mut HashSet<i64>) -> Result<bool, Fault> {
        if job.is_locked(self.tx.boot) {
            return Ok(true);
        }
        if !deep || !seen.insert(job.row) {
            return Ok(false);
        }
        for child in self.children(job.row, true)? {
            let held = self.at(&child, |there, id| match there.find(id)? {
                Some(below) if !seen.contains(&below.row) => there.is_held(&below, true, seen),
                _ => Ok(false),
            })?;
            if held == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn remove_from(&mut self, id: &str, job: &Found, deep: bool, gone: &mut HashSet<i64>) -> Result<(), Fault> {
        if !gone.insert(job.row) {
            return Ok(());
        }
        if job.linked {
            self.unlink(job.row)?;
        }
        let children = if deep { self.children(job.row, false)? } else { Vec::new() };
        for child in children {
            self.at(&child, |there, id| match there.find(id)? {
                Some(below) => there.remove_from(id, &below, true, gone),
                None => Ok(()),
            })?;
        }
        // Its last child may have set it free meanwhile.
        let Some(job) = self.find_row(job.row)? else { return Ok(()) };
        self.remove_row(job.row, job.state)?;
        self.emit(Kind::Removed, id, None, Some(job.state))
    }

    /// Does something where a job of another queue is, by its key; None where there is no such queue.
    pub(super) fn at<T>(
        &mut self,
        job_key: &str,
        step: impl FnOnce(&mut Work<'_, '_>, &str) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        let Some((queue_key, id)) = job_key.rsplit_once(':') else { return Ok(None) };
        let Some(key) = QueueKey::from_text(queue_key) else { return Ok(None) };
        let Some(queue) = self.tx.find_queue(&key)? else { return Ok(None) };
        step(&mut Work { tx: self.tx, key: &key, queue, now: self.now }, id).map(Some)
    }
}
