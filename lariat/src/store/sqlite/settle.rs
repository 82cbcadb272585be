//! What becomes of a job whose outcome came in, where it has not ended: back to the queue, or waiting for something.

use rusqlite::params;

use super::clock::ms;
use super::events::Kind;
use super::fault::Fault;
use super::work::{Found, Side, Work};
use crate::error::Refusal;
use crate::job::JobState;
use crate::store::exchange::{DelayedAttempt, Failure, Settle, Transition, Verdict};

/// The stack traces of a failure as they are stored.
pub(super) fn traces(failure: &Failure) -> String {
    serde_json::Value::from(failure.stacktrace.clone()).to_string()
}

impl Work<'_, '_> {
    /// One outcome that is not an end; ends are in `finish.rs`.
    pub(super) fn settle(&mut self, settle: &Settle) -> Result<Verdict, Fault> {
        if matches!(settle.to, Transition::Retry { .. }) {
            self.promote()?;
        }
        let Some(job) = self.find(settle.id.as_str())? else { return Ok(Verdict::Refused(Refusal::MissingJob)) };
        if matches!(settle.to, Transition::WaitForChildren) {
            // Before a look at the lock: it may be that there is nothing to wait for.
            if job.unsuccessful > 0 {
                return Ok(Verdict::Refused(Refusal::FailedChildren));
            } else if job.pending == 0 {
                return Ok(Verdict::Resume);
            }
        }
        if let Err(refusal) = job.check_held(&settle.token, self.tx.boot) {
            return Ok(Verdict::Refused(refusal));
        }
        self.go(settle, &job)?;
        Ok(Verdict::Accepted)
    }

    fn go(&mut self, settle: &Settle, job: &Found) -> Result<(), Fault> {
        let id = settle.id.as_str();
        let active = Some(JobState::Active);
        match &settle.to {
            Transition::Retry { failure, lifo } => {
                let spot = self.ready_spot(job.priority, Side::of(*lifo, job.priority))?;
                self.failed_attempt(job.row, failure)?;
                self.put(job.row, JobState::Active, spot)?;
                self.emit(Kind::Waiting, id, None, active)
            }
            Transition::Delay { delay, attempt } => {
                let (delay, due) = (ms(*delay), self.now.saturating_add(ms(*delay)));
                if let DelayedAttempt::Failed(failure) = attempt {
                    self.failed_attempt(job.row, failure)?;
                }
                self.tx.run("UPDATE lariat_job SET delay = ?2 WHERE row = ?1", [job.row, delay])?;
                let spot = self.spot(JobState::Delayed, due)?;
                self.put(job.row, JobState::Active, spot)?;
                self.emit(Kind::Delayed, id, Some(&due.to_string()), None)
            }
            Transition::WaitForChildren => {
                let spot = self.spot(JobState::WaitingChildren, self.now)?;
                self.put(job.row, JobState::Active, spot)?;
                self.emit(Kind::WaitingChildren, id, None, active)
            }
            Transition::PutBack => {
                let spot = self.ready_spot(job.priority, Side::Before)?;
                self.put(job.row, JobState::Active, spot)?;
                self.emit(Kind::Waiting, id, None, active)
            }
            Transition::Complete { .. } | Transition::Fail { .. } => Ok(()),
        }
    }

    fn failed_attempt(&mut self, row: i64, failure: &Failure) -> Result<(), Fault> {
        self.tx.run(
            "UPDATE lariat_job SET made = made + 1, failed_reason = ?2, stacktrace = ?3 WHERE row = ?1",
            params![row, failure.reason, traces(failure)],
        )?;
        Ok(())
    }
}
