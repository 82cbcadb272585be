//! One request's work on one queue: the steps that most transitions share.

use rusqlite::params;

use super::events::{self, Kind};
use super::fault::Fault;
use super::number::{as_number, job_row};
use super::queue::{QueueKey, QueueState, code};
use super::tx::Tx;
use crate::error::Refusal;
use crate::job::JobState;

/// One queue within a transaction, at one moment of the caller's clock.
pub(super) struct Work<'a, 'c> {
    pub tx: &'a mut Tx<'c>,
    pub key: &'a QueueKey,
    pub queue: i64,
    pub now: i64,
}

/// Where among its equals a job goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Behind,
    Before,
}

impl Side {
    /// `lifo` counts only among jobs without a priority.
    pub(super) fn of(lifo: bool, priority: i64) -> Side {
        if lifo && priority == 0 { Side::Before } else { Side::Behind }
    }
}

/// A state with the order in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub state: JobState,
    pub rank: i64,
    pub place: i64,
}

/// What a transition has to know of a job.
#[derive(Debug)]
pub(super) struct Found {
    pub row: i64,
    pub state: JobState,
    pub token: Option<String>,
    pub lock_until: i64,
    pub made: i64,
    pub priority: i64,
    pub delay: i64,
    pub pending: i64,
    pub unsuccessful: i64,
    pub linked: bool,
}

impl Found {
    /// Whether somebody holds its lock.
    pub(super) fn is_locked(&self, boot: i64) -> bool {
        self.token.is_some() && self.lock_until > boot
    }

    /// Refuses whoever does not hold its lock.
    pub(super) fn check_held(&self, token: &str, boot: i64) -> Result<(), Refusal> {
        match &self.token {
            Some(_) if self.lock_until <= boot => Err(Refusal::MissingLock),
            Some(holder) if holder == token => Ok(()),
            Some(_) => Err(Refusal::LockTaken),
            None => Err(Refusal::MissingLock),
        }
    }
}

impl<'a, 'c> Work<'a, 'c> {
    /// Work on a queue, which is made where there is none.
    pub(super) fn on(tx: &'a mut Tx<'c>, key: &'a QueueKey, now: i64) -> Result<Work<'a, 'c>, Fault> {
        let queue = tx.queue(key)?;
        Ok(Work { tx, key, queue, now })
    }

    pub(super) fn state(&mut self) -> Result<&QueueState, Fault> {
        self.tx.state(self.queue)
    }

    pub(super) fn edit(&mut self) -> Result<&mut QueueState, Fault> {
        self.tx.edit(self.queue)
    }

    /// The row of a job, if there is one of this id.
    pub(super) fn row_of(&self, id: &str) -> Result<Option<i64>, Fault> {
        if let Some(number) = as_number(id) {
            let sql = "SELECT row FROM lariat_payload WHERE row = ?1 AND custom IS NULL";
            if let Some(row) = self.tx.one(sql, [job_row(self.queue, number)], |row| row.get(0))? {
                return Ok(Some(row));
            }
        }
        self.tx.one("SELECT job FROM lariat_custom_id WHERE queue = ?1 AND id = ?2", params![self.queue, id], |row| {
            row.get(0)
        })
    }

    /// A job as its transitions see it.
    pub(super) fn find(&self, id: &str) -> Result<Option<Found>, Fault> {
        match self.row_of(id)? {
            Some(row) => self.find_row(row),
            None => Ok(None),
        }
    }

    pub(super) fn find_row(&self, row: i64) -> Result<Option<Found>, Fault> {
        let sql = "SELECT state, token, lock_until, made, priority, delay, pending, unsuccessful, linked
                   FROM lariat_job WHERE row = ?1";
        let found = self.tx.one(sql, [row], |columns| {
            let state: i64 = columns.get(0)?;
            Ok((
                state,
                Found {
                    row,
                    state: JobState::Waiting,
                    token: columns.get(1)?,
                    lock_until: columns.get::<_, Option<i64>>(2)?.unwrap_or(0),
                    made: columns.get(3)?,
                    priority: columns.get(4)?,
                    delay: columns.get(5)?,
                    pending: columns.get(6)?,
                    unsuccessful: columns.get(7)?,
                    linked: columns.get(8)?,
                },
            ))
        })?;
        Ok(found.and_then(|(state, found)| Some(Found { state: super::queue::state(state)?, ..found })))
    }

    /// Where a job of this priority waits for its turn.
    pub(super) fn ready_spot(&mut self, priority: i64, side: Side) -> Result<Spot, Fault> {
        let queue = self.edit()?;
        let place = match side {
            Side::Behind => queue.behind(),
            Side::Before => queue.before(),
        };
        let (state, rank) = if priority > 0 { (JobState::Prioritized, priority) } else { (JobState::Waiting, 0) };
        Ok(Spot { state, rank, place })
    }

    /// A place in a state that has an order of its own.
    pub(super) fn spot(&mut self, state: JobState, rank: i64) -> Result<Spot, Fault> {
        Ok(Spot { state, rank, place: self.edit()?.behind() })
    }

    /// Counts a job out of one state and into another.
    pub(super) fn moved(&mut self, from: JobState, to: JobState) -> Result<(), Fault> {
        let queue = self.edit()?;
        queue.leaves(from);
        queue.enters(to);
        Ok(())
    }

    /// Moves a job that nobody holds.
    pub(super) fn put(&mut self, row: i64, from: JobState, spot: Spot) -> Result<(), Fault> {
        self.tx.run(
            "UPDATE lariat_job SET state = ?2, rank = ?3, place = ?4, token = NULL, lock_until = NULL, suspect = 0 WHERE row = ?1",
            params![row, code(spot.state), spot.rank, spot.place],
        )?;
        self.moved(from, spot.state)
    }

    pub(super) fn emit(
        &mut self,
        kind: Kind,
        job: &str,
        value: Option<&str>,
        prev: Option<JobState>,
    ) -> Result<(), Fault> {
        events::emit(self.tx, self.queue, kind, Some(job), value, prev)
    }
}
