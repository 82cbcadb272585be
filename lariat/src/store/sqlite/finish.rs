//! A job's end: completed, or failed for good; which ended jobs are kept; how many ended.

use std::collections::BTreeMap;

use rusqlite::{CachedStatement, params};

use super::events::Kind;
use super::fault::Fault;
use super::number::{as_number, job_row};
use super::queue::code;
use super::settle::traces;
use super::work::{Found, Work};
use crate::error::Refusal;
use crate::job::{JobState, Keep};
use crate::store::exchange::{Failure, Settle, Transition, Verdict};

/// Jobs that one application of a rule removes at most, for each of its parts; what is left goes with the next ends.
const MOST_REMOVED: i64 = 1000;

/// What the ends of one call add up to.
pub(super) struct Ends<'c> {
    /// What most ends are, looked up once a call.
    complete: CachedStatement<'c>,
    /// Ends by the number of their state.
    counts: BTreeMap<i64, i64>,
    /// Ends in one state under one rule, which has not been applied to them yet.
    rule: Option<(JobState, Keep, i64)>,
}

/// How a job ended.
#[derive(Clone, Copy)]
enum End<'a> {
    Completed { value: &'a str },
    Failed { failure: &'a Failure, attempts: u32 },
}

impl End<'_> {
    fn state(self) -> JobState {
        match self {
            End::Completed { .. } => JobState::Completed,
            End::Failed { .. } => JobState::Failed,
        }
    }
}

impl Work<'_, '_> {
    /// An outcome that is an end.
    pub(super) fn finish(&mut self, settle: &Settle, ends: &mut Ends<'_>) -> Result<Verdict, Fault> {
        let (end, keep) = match &settle.to {
            Transition::Complete { value, keep } => (End::Completed { value: value.get() }, *keep),
            Transition::Fail { failure, keep, attempts } => (End::Failed { failure, attempts: *attempts }, *keep),
            _ => {
                // A parent that a rule sets free goes to the front before whatever this one puts there.
                ends.apply(self)?;
                return self.settle(settle);
            }
        };
        ends.before(self, end.state(), keep)?;
        if let End::Completed { value } = end
            && keep.count != Some(0)
            && self.completes_at_once(settle, value, ends)?
        {
            return self.ended(settle.id.as_str(), end, 0, keep, ends).map(|()| Verdict::Accepted);
        }
        let Some(job) = self.find(settle.id.as_str())? else { return Ok(Verdict::Refused(Refusal::MissingJob)) };
        if let End::Completed { .. } = end {
            if job.pending > 0 {
                return Ok(Verdict::Refused(Refusal::PendingChildren));
            } else if job.unsuccessful > 0 {
                return Ok(Verdict::Refused(Refusal::FailedChildren));
            }
        }
        if let Err(refusal) = job.check_held(&settle.token, self.tx.boot) {
            return Ok(Verdict::Refused(refusal));
        }
        self.end(settle.id.as_str(), &job, end, keep, ends)?;
        Ok(Verdict::Accepted)
    }

    fn end(&mut self, id: &str, job: &Found, end: End<'_>, keep: Keep, ends: &mut Ends<'_>) -> Result<(), Fault> {
        let state = end.state();
        if job.linked {
            ends.apply(self)?;
            let value = match end {
                End::Completed { value } => value,
                End::Failed { failure, .. } => &failure.reason,
            };
            self.tell_others(id, job.row, state, value)?;
        }
        if keep.count == Some(0) {
            if job.linked {
                // A parent that was not told waits on for one that can be tried anew: this one cannot.
                self.unlink(job.row)?;
            }
            self.remove_row(job.row, JobState::Active)?;
        } else {
            self.write_end(job.row, end)?;
        }
        self.ended(id, end, job.made, keep, ends)
    }

    /// What most jobs come to, in one statement: it has neither children nor a parent, and its lock is held. A number is
    /// taken for a row here; the token says whether it is that job's.
    fn completes_at_once(&mut self, settle: &Settle, value: &str, ends: &mut Ends<'_>) -> Result<bool, Fault> {
        let Some(number) = as_number(settle.id.as_str()) else { return Ok(false) };
        let (boot, place) = (self.tx.boot, self.edit()?.behind());
        let row = job_row(self.queue, number);
        let done = ends.complete.execute(params![row, self.now, place, value, settle.token, boot])? > 0;
        if done {
            self.moved(JobState::Active, JobState::Completed)?;
        }
        Ok(done)
    }

    /// A job has ended: counts it, and says so.
    fn ended(&mut self, id: &str, end: End<'_>, made: i64, keep: Keep, ends: &mut Ends<'_>) -> Result<(), Fault> {
        let state = end.state();
        ends.under(state, keep);
        *ends.counts.entry(code(state)).or_default() += 1;
        let active = Some(JobState::Active);
        match end {
            End::Completed { value } => self.emit(Kind::Completed, id, Some(value), active),
            End::Failed { failure, attempts } => {
                self.emit(Kind::Failed, id, Some(&failure.reason), active)?;
                let made = made + 1;
                if made >= i64::from(attempts) {
                    self.emit(Kind::RetriesExhausted, id, Some(&made.to_string()), None)?;
                }
                Ok(())
            }
        }
    }

    fn write_end(&mut self, row: i64, end: End<'_>) -> Result<(), Fault> {
        let spot = self.spot(end.state(), self.now)?;
        match end {
            End::Completed { value } => self.tx.run(
                "UPDATE lariat_job SET state = 4, rank = ?2, place = ?3, token = NULL, lock_until = NULL, suspect = 0,
                        made = made + 1, finished_on = ?2, return_value = ?4
                 WHERE row = ?1",
                params![row, self.now, spot.place, value],
            )?,
            End::Failed { failure, .. } => self.tx.run(
                "UPDATE lariat_job SET state = 5, rank = ?2, place = ?3, token = NULL, lock_until = NULL, suspect = 0,
                        made = made + 1, finished_on = ?2, failed_reason = ?4, stacktrace = ?5, deferred_failure = NULL
                 WHERE row = ?1",
                params![row, self.now, spot.place, failure.reason, traces(failure)],
            )?,
        };
        self.moved(JobState::Active, spot.state)
    }

    /// Applies what is left of the rules, and counts the ends by the minute.
    pub(super) fn close_ends(&mut self, mut ends: Ends<'_>, points: Option<u32>) -> Result<(), Fault> {
        ends.apply(self)?;
        let Some(points) = points.filter(|points| *points > 0) else { return Ok(()) };
        for (state, ended) in ends.counts {
            self.count_ended(state, ended, points)?;
        }
        Ok(())
    }

    fn count_ended(&mut self, state: i64, ended: i64, points: u32) -> Result<(), Fault> {
        let minute = self.now.div_euclid(60_000);
        self.tx.run(
            "INSERT INTO lariat_metric (queue, state, minute, ended, at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET ended = ended + excluded.ended",
            params![self.queue, state, minute, ended, self.now],
        )?;
        self.tx.run(
            "INSERT INTO lariat_metric_total (queue, state, ended, since) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET ended = ended + excluded.ended, since = max(since, ?5)",
            params![self.queue, state, ended, minute, minute - i64::from(points)],
        )?;
        self.tx.run(
            "DELETE FROM lariat_metric WHERE queue = ?1 AND state = ?2 AND minute < ?3",
            params![self.queue, state, minute - i64::from(points)],
        )?;
        Ok(())
    }

    /// Removes ended jobs that a rule no longer keeps, `ended` having just come under it.
    fn retain(&mut self, state: JobState, keep: Keep, ended: i64) -> Result<(), Fault> {
        if let Some(age) = keep.age {
            let cut = self.now.saturating_sub(super::clock::ms(age) / 1000 * 1000);
            let limit = keep.limit.map_or(MOST_REMOVED, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
            let most = limit.saturating_mul(ended).min(MOST_REMOVED);
            let rows = self.tx.all(
                "SELECT row FROM lariat_job WHERE queue = ?1 AND state = ?2 AND rank <= ?3 ORDER BY rank DESC, place DESC LIMIT ?4",
                params![self.queue, code(state), cut, most],
                |row| row.get(0),
            )?;
            self.remove_rows(&rows, state)?;
        }
        let Some(count) = keep.count.and_then(|count| i64::try_from(count).ok()) else { return Ok(()) };
        let over = (self.state()?.count(state) - count).min(MOST_REMOVED);
        if over <= 0 {
            return Ok(());
        }
        let rows = self.tx.all(
            "SELECT row FROM lariat_job WHERE queue = ?1 AND state = ?2 ORDER BY rank, place LIMIT ?3",
            params![self.queue, code(state), over],
            |row| row.get(0),
        )?;
        self.remove_rows(&rows, state)
    }
}

impl<'c> Ends<'c> {
    pub(super) fn of(work: &Work<'_, 'c>) -> Result<Ends<'c>, Fault> {
        let complete = work.tx.prepare(
            "UPDATE lariat_job SET state = 4, rank = ?2, place = ?3, token = NULL, lock_until = NULL, suspect = 0,
                    made = made + 1, finished_on = ?2, return_value = ?4
             WHERE row = ?1 AND state = 1 AND token = ?5 AND lock_until > ?6
               AND pending = 0 AND unsuccessful = 0 AND linked = 0",
        )?;
        Ok(Ends { complete, counts: BTreeMap::new(), rule: None })
    }

    /// Before a job ends in this state under this rule: applies an earlier one that it must not come under.
    fn before(&mut self, work: &mut Work<'_, '_>, state: JobState, keep: Keep) -> Result<(), Fault> {
        match self.rule {
            Some((known, rule, _)) if known == state && rule == keep => Ok(()),
            // Neither is listed where the rule applies.
            Some((known, ..)) if keep.count == Some(0) || (known != state && keep == Keep::ALL) => Ok(()),
            _ => self.apply(work),
        }
    }

    /// One more end. What follows is not to be reordered with the rule's effects: see [`Work::finish`].
    fn under(&mut self, state: JobState, keep: Keep) {
        if keep == Keep::ALL || keep.count == Some(0) {
            return;
        }
        let ended = self.rule.map_or(0, |(.., ended)| ended);
        self.rule = Some((state, keep, ended + 1));
    }

    fn apply(&mut self, work: &mut Work<'_, '_>) -> Result<(), Fault> {
        match self.rule.take() {
            Some((state, keep, ended)) => work.retain(state, keep, ended),
            None => Ok(()),
        }
    }
}
