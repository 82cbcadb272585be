//! One queue's row: its counters and its settings, as the writer holds them during a batch.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::id::{Prefix, QueueName};
use crate::job::JobState;

/// How a queue is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct QueueKey {
    pub prefix: Arc<str>,
    pub name: Arc<str>,
}

impl QueueKey {
    pub(super) fn new(prefix: &Prefix, queue: &QueueName) -> QueueKey {
        QueueKey { prefix: prefix.as_str().into(), name: queue.as_str().into() }
    }

    /// From `prefix:name`; a name has no colon, a prefix may have some.
    pub(super) fn from_text(text: &str) -> Option<QueueKey> {
        let (prefix, name) = text.rsplit_once(':')?;
        Some(QueueKey { prefix: prefix.into(), name: name.into() })
    }

    /// `prefix:name:id`, by which other queues name a job of this one.
    pub(super) fn job(&self, id: &str) -> String {
        format!("{}:{}:{id}", self.prefix, self.name)
    }
}

/// The number by which a state is stored.
pub(super) const fn code(state: JobState) -> i64 {
    match state {
        JobState::Waiting => 0,
        JobState::Active => 1,
        JobState::Delayed => 2,
        JobState::Prioritized => 3,
        JobState::Completed => 4,
        JobState::Failed => 5,
        JobState::WaitingChildren => 6,
    }
}

/// The state of a stored number.
pub(super) fn state(code: i64) -> Option<JobState> {
    JobState::ALL.into_iter().find(|known| self::code(*known) == code)
}

/// A queue's row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct QueueState {
    pub last_number: i64,
    back: i64,
    front: i64,
    pub last_event: i64,
    counts: [i64; 7],
    pub paused: bool,
    pub concurrency: Option<i64>,
    pub rate_max: Option<i64>,
    pub rate_ms: Option<i64>,
    pub started: i64,
    pub started_until: i64,
    pub searched_until: i64,
}

impl QueueState {
    pub(super) fn read(connection: &Connection, queue: i64) -> rusqlite::Result<Option<QueueState>> {
        let mut statement = connection.prepare_cached(
            "SELECT last_number, back, front, last_event, waiting, active, delayed, prioritized, completed, failed,
                    waiting_children, paused, concurrency, rate_max, rate_ms, started, started_until, searched_until
             FROM lariat_queue WHERE row = ?1",
        )?;
        statement.query_row([queue], QueueState::from_row).optional()
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<QueueState> {
        let mut counts = [0; 7];
        for (state, count) in counts.iter_mut().enumerate() {
            *count = row.get(4 + state)?;
        }
        Ok(QueueState {
            last_number: row.get(0)?,
            back: row.get(1)?,
            front: row.get(2)?,
            last_event: row.get(3)?,
            counts,
            paused: row.get(11)?,
            concurrency: row.get(12)?,
            rate_max: row.get(13)?,
            rate_ms: row.get(14)?,
            started: row.get(15)?,
            started_until: row.get(16)?,
            searched_until: row.get(17)?,
        })
    }

    pub(super) fn write(&self, connection: &Connection, queue: i64) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "UPDATE lariat_queue SET last_number = ?2, back = ?3, front = ?4, last_event = ?5, waiting = ?6, active = ?7,
                    delayed = ?8, prioritized = ?9, completed = ?10, failed = ?11, waiting_children = ?12, paused = ?13,
                    concurrency = ?14, rate_max = ?15, rate_ms = ?16, started = ?17, started_until = ?18,
                    searched_until = ?19
             WHERE row = ?1",
        )?;
        let [waiting, active, delayed, prioritized, completed, failed, children] = self.counts;
        statement.execute(params![
            queue,
            self.last_number,
            self.back,
            self.front,
            self.last_event,
            waiting,
            active,
            delayed,
            prioritized,
            completed,
            failed,
            children,
            self.paused,
            self.concurrency,
            self.rate_max,
            self.rate_ms,
            self.started,
            self.started_until,
            self.searched_until,
        ])?;
        Ok(())
    }

    pub(super) fn count(&self, state: JobState) -> i64 {
        self.counts[index(state)]
    }

    /// A job has come into a state.
    pub(super) fn enters(&mut self, state: JobState) {
        self.counts[index(state)] += 1;
    }

    /// A job has gone from a state.
    pub(super) fn leaves(&mut self, state: JobState) {
        self.counts[index(state)] -= 1;
    }

    /// A place behind all others.
    pub(super) fn behind(&mut self) -> i64 {
        self.back += 1;
        self.back
    }

    /// A place before all others.
    pub(super) fn before(&mut self) -> i64 {
        self.front -= 1;
        self.front
    }

    pub(super) fn is_maxed(&self) -> bool {
        self.concurrency.is_some_and(|most| self.count(JobState::Active) >= most)
    }

    /// Jobs that could run now.
    pub(super) fn ready(&self) -> i64 {
        self.count(JobState::Waiting) + self.count(JobState::Prioritized)
    }
}

fn index(state: JobState) -> usize {
    usize::try_from(code(state)).unwrap_or(0)
}

/// The row of a queue, where it has one.
pub(super) fn find(connection: &Connection, key: &QueueKey) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT row FROM lariat_queue WHERE prefix = ?1 AND name = ?2")?;
    statement.query_row(params![key.prefix, key.name], |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_number_of_its_own() {
        for known in JobState::ALL {
            assert_eq!(state(code(known)), Some(known));
        }
        assert_eq!(state(7), None);
    }

    #[test]
    fn a_key_is_split_at_its_last_colon() {
        let key = QueueKey::from_text("a:b:mail").unwrap();
        assert_eq!((&*key.prefix, &*key.name), ("a:b", "mail"));
        assert_eq!(key.job("7"), "a:b:mail:7");
        assert!(QueueKey::from_text("mail").is_none());
    }
}
