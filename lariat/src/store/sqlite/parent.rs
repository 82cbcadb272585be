//! What a job's end means to its parent.

use rusqlite::params;
use serde_json::Value;

use super::events::Kind;
use super::fault::Fault;
use super::work::{Found, Side, Work};
use crate::job::JobState;

/// How a child ended, in its parent's eyes; the number is what is stored.
const COMPLETED: i64 = 1;
const PASSED_OVER: i64 = 2;
const UNSUCCESSFUL: i64 = 3;

/// What a child's failure means to its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// It waits on, until the child is tried anew or removed.
    Nothing,
    FailsParent,
    /// The parent runs at once, even if others are still pending.
    ParentGoesOn,
    PassedOver,
    Forgotten,
}

impl Failure {
    /// From a child's link, under BullMQ's short names.
    fn of(link: &Value) -> Failure {
        let has = |name: &str| link.get(name).and_then(Value::as_bool).unwrap_or(false);
        [
            ("fpof", Failure::FailsParent),
            ("cpof", Failure::ParentGoesOn),
            ("idof", Failure::PassedOver),
            ("rdof", Failure::Forgotten),
        ]
        .into_iter()
        .find(|(name, _)| has(name))
        .map_or(Failure::Nothing, |(_, failure)| failure)
    }
}

impl Work<'_, '_> {
    /// Tells a job's parent how the job ended; `value` is the result, or the reason.
    pub(super) fn tell_others(&mut self, id: &str, row: i64, end: JobState, value: &str) -> Result<(), Fault> {
        let sql = "SELECT parent_key, parent FROM lariat_payload WHERE row = ?1 AND parent_key IS NOT NULL";
        let found =
            self.tx.one(sql, [row], |columns| Ok((columns.get::<_, String>(0)?, columns.get::<_, String>(1)?)))?;
        let Some((parent_key, link)) = found else { return Ok(()) };
        let failure = Failure::of(&serde_json::from_str(&link).unwrap_or_default());
        let completed = end == JobState::Completed;
        if !completed && failure == Failure::Nothing {
            return Ok(());
        }
        let child = self.key.job(id);
        self.at(&parent_key, |there, parent_id| {
            let Some(parent) = there.find(parent_id)? else { return Ok(()) };
            if !there.no_longer_pending(&parent, &child)? {
                return Ok(());
            }
            let last = parent.pending == 1;
            if completed {
                there.record(&parent, &child, COMPLETED, value)?;
                return if last { there.free(parent_id, &parent) } else { Ok(()) };
            }
            match failure {
                Failure::FailsParent => there.fail_parent(parent_id, &parent, &child),
                Failure::ParentGoesOn => {
                    there.record(&parent, &child, PASSED_OVER, value)?;
                    there.free(parent_id, &parent)
                }
                Failure::PassedOver | Failure::Forgotten => {
                    if failure == Failure::PassedOver {
                        there.record(&parent, &child, PASSED_OVER, value)?;
                    }
                    if last { there.free(parent_id, &parent) } else { Ok(()) }
                }
                Failure::Nothing => Ok(()),
            }
        })?;
        Ok(())
    }

    fn record(&mut self, parent: &Found, child: &str, state: i64, value: &str) -> Result<(), Fault> {
        self.tx.run(
            "INSERT OR REPLACE INTO lariat_child (parent, child, state, value) VALUES (?1, ?2, ?3, ?4)",
            params![parent.row, child, state, value],
        )?;
        Ok(())
    }

    fn free(&mut self, id: &str, parent: &Found) -> Result<(), Fault> {
        if parent.state == JobState::WaitingChildren { self.parent_runs(id, parent, parent.delay) } else { Ok(()) }
    }

    /// A parent without a priority goes before the others: it has waited long enough.
    fn parent_runs(&mut self, id: &str, parent: &Found, delay: i64) -> Result<(), Fault> {
        if delay > 0 {
            let due = self.now.saturating_add(delay);
            let spot = self.spot(JobState::Delayed, due)?;
            self.put(parent.row, parent.state, spot)?;
            return self.emit(Kind::Delayed, id, Some(&due.to_string()), None);
        }
        let side = if parent.priority > 0 { Side::Behind } else { Side::Before };
        let spot = self.ready_spot(parent.priority, side)?;
        self.put(parent.row, parent.state, spot)?;
        self.emit(Kind::Waiting, id, None, Some(JobState::WaitingChildren))
    }

    /// The parent fails with its child: the worker that takes it next fails it.
    fn fail_parent(&mut self, id: &str, parent: &Found, child: &str) -> Result<(), Fault> {
        self.record(parent, child, UNSUCCESSFUL, "")?;
        self.tx.run("UPDATE lariat_job SET unsuccessful = unsuccessful + 1 WHERE row = ?1", [parent.row])?;
        if parent.state == JobState::Failed {
            return Ok(());
        }
        let reason = format!("child {child} failed");
        self.tx.run("UPDATE lariat_job SET deferred_failure = ?2 WHERE row = ?1", params![parent.row, reason])?;
        match parent.state {
            JobState::WaitingChildren => self.parent_runs(id, parent, parent.delay),
            JobState::Delayed => {
                self.tx.run("UPDATE lariat_job SET delay = 0 WHERE row = ?1", [parent.row])?;
                self.parent_runs(id, parent, 0)
            }
            _ => Ok(()),
        }
    }

    /// A finished child becomes ready again: its parent waits for it, as far as it had been told of its end.
    pub(super) fn wait_again(&mut self, id: &str, row: i64) -> Result<(), Fault> {
        let sql = "SELECT parent_key FROM lariat_payload WHERE row = ?1 AND parent_key IS NOT NULL";
        let Some(parent_key) = self.tx.one(sql, [row], |columns| columns.get::<_, String>(0))? else { return Ok(()) };
        let child = self.key.job(id);
        self.at(&parent_key, |there, parent_id| {
            let Some(parent) = there.find(parent_id)? else { return Ok(()) };
            let sql = "SELECT state FROM lariat_child WHERE parent = ?1 AND child = ?2 AND state <> 0";
            let known: Option<i64> = there.tx.one(sql, params![parent.row, child], |columns| columns.get(0))?;
            let Some(state) = known else { return Ok(()) };
            there.tx.run(
                "UPDATE lariat_child SET state = 0, value = NULL WHERE parent = ?1 AND child = ?2",
                params![parent.row, child],
            )?;
            there.tx.run(
                "UPDATE lariat_job SET pending = pending + 1, unsuccessful = unsuccessful - ?2 WHERE row = ?1",
                params![parent.row, i64::from(state == UNSUCCESSFUL)],
            )?;
            Ok(())
        })?;
        Ok(())
    }
}
