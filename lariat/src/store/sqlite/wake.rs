//! Who waits for what. Within the process the writer tells at every commit; what other processes commit is found by a
//! look at the file's `data_version`, ever more seldom while nothing happens.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use tokio::sync::watch;

use super::queue::{QueueKey, code};
use super::tx::Memory;
use crate::job::JobState;

/// What one who waits may want to know of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Signal {
    /// There is a job that may start.
    pub ready: bool,
    /// When the next delayed job is due.
    pub due: Option<i64>,
    pub last_event: i64,
}

/// The queues that somebody waits for.
#[derive(Default)]
pub(super) struct Wakes {
    queues: Mutex<HashMap<QueueKey, watch::Sender<Signal>>>,
}

impl Wakes {
    fn queues(&self) -> MutexGuard<'_, HashMap<QueueKey, watch::Sender<Signal>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of every change from here on. What it holds at first may be old: have the writer look.
    pub(super) fn watch(&self, key: &QueueKey) -> watch::Receiver<Signal> {
        let mut queues = self.queues();
        queues.entry(key.clone()).or_insert_with(|| watch::Sender::new(Signal::default())).subscribe()
    }

    pub(super) fn is_watched(&self) -> bool {
        self.queues().values().any(|sender| sender.receiver_count() > 0)
    }

    /// Tells those who wait how their queues are now.
    pub(super) fn publish(&self, connection: &Connection, memory: &mut Memory) {
        let mut queues = self.queues();
        queues.retain(|_, sender| sender.receiver_count() > 0);
        for (key, sender) in &*queues {
            // Where the look fails, a wait ends by its own time.
            if let Ok(signal) = signal(connection, memory, key) {
                sender.send_if_modified(|known| std::mem::replace(known, signal) != signal);
            }
        }
    }
}

fn signal(connection: &Connection, memory: &mut Memory, key: &QueueKey) -> rusqlite::Result<Signal> {
    let Some((queue, state)) = memory.look(connection, key)? else { return Ok(Signal::default()) };
    let due = if state.count(JobState::Delayed) > 0 { next_due(connection, queue)? } else { None };
    Ok(Signal { ready: state.ready() > 0 && !state.paused && !state.is_maxed(), due, last_event: state.last_event })
}

/// When the next delayed job is due.
pub(super) fn next_due(connection: &Connection, queue: i64) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection
        .prepare_cached("SELECT rank FROM lariat_job WHERE queue = ?1 AND state = ?2 ORDER BY rank LIMIT 1")?;
    statement.query_row([queue, code(JobState::Delayed)], |row| row.get(0)).optional()
}

/// How often to look whether other processes have written: often just after something happened, then ever more seldom.
#[derive(Debug, Default)]
pub(super) struct Pace {
    pause: Option<Duration>,
}

impl Pace {
    const SHORTEST: Duration = Duration::from_millis(1);
    const LONGEST: Duration = Duration::from_millis(50);

    /// The pause before the next look.
    pub(super) fn next(&self) -> Duration {
        self.pause.unwrap_or(Self::SHORTEST)
    }

    /// A look was made, and found something or not.
    pub(super) fn looked(&mut self, found: bool) {
        self.pause = Some(if found { Self::SHORTEST } else { (self.next() * 5 / 4).min(Self::LONGEST) });
    }

    /// We have written ourselves; others may answer to that soon.
    pub(super) fn busy(&mut self) {
        self.pause = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_become_seldom_and_often_again() {
        let mut pace = Pace::default();
        for _ in 0..100 {
            pace.looked(false);
        }
        assert_eq!(pace.next(), Pace::LONGEST);
        pace.looked(true);
        assert_eq!(pace.next(), Pace::SHORTEST);
    }
}
