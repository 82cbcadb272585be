//! Whether a worker is getting anywhere, from what came back and not from what it believes of its connections.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lariat_lock::Terms;

/// How a worker is, by [`Worker::health`](crate::Worker::health): for a readiness or liveness probe.
///
/// It goes by progress: answers that came back from the store, and renewals that were confirmed. A worker whose
/// connection is open and dead, whose runtime is blocked, or whose task has ended is not healthy; one that has nothing to
/// do, is quiet, or is busy with long jobs is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// How long ago the store last answered an exchange or a wait; None: not yet. A busy worker may not ask for long.
    pub answered_ago: Option<Duration>,
    /// How long the oldest answer that is still missing is overdue; zero where none is.
    pub overdue: Duration,
    /// How long ago the lock was granted or renewed that has gone the longest without; None where none is held.
    pub oldest_renewal: Option<Duration>,
    /// How often the lock thread's driver has panicked and was started again.
    pub lock_restarts: u64,
    /// What is wrong; empty where nothing is.
    pub problems: Vec<HealthProblem>,
}

/// What is wrong with a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HealthProblem {
    /// It has ended, or its runtime has.
    Ended {
        /// Why.
        why: String,
    },
    /// It has waited in vain for an answer for longer than its locks last: the store is away, or the runtime is blocked.
    NoAnswer {
        /// How long the answer is overdue.
        overdue: Duration,
    },
    /// A lock was not renewed in time, and will expire if that goes on.
    NotRenewed {
        /// How long ago it was last granted.
        age: Duration,
    },
}

impl Health {
    /// Whether nothing is wrong.
    pub fn is_healthy(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for HealthProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HealthProblem::Ended { why } => write!(f, "the worker has ended: {why}"),
            HealthProblem::NoAnswer { overdue } => write!(f, "an answer of the store is overdue by {overdue:?}"),
            HealthProblem::NotRenewed { age } => write!(f, "a lock was last renewed {age:?} ago"),
        }
    }
}

/// What a judgement goes by. Pure data.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub ended: Option<String>,
    pub answered_ago: Option<Duration>,
    pub overdue: Duration,
    pub oldest_renewal: Option<Duration>,
    pub lock_restarts: u64,
}

impl Facts {
    /// What they mean for a worker with these terms.
    pub(super) fn judge(self, terms: &Terms) -> Health {
        let Facts { ended, answered_ago, overdue, oldest_renewal, lock_restarts } = self;
        let mut problems = Vec::new();
        if let Some(why) = ended {
            problems.push(HealthProblem::Ended { why });
        } else if overdue > terms.lock_duration() {
            problems.push(HealthProblem::NoAnswer { overdue });
        }
        // Half of the time is over in which a renewal that is due can still be made up for.
        let late = terms.lock_renew_time() + terms.trust_window().saturating_sub(terms.lock_renew_time()) / 2;
        if let Some(age) = oldest_renewal.filter(|age| *age > late) {
            problems.push(HealthProblem::NotRenewed { age });
        }
        Health { answered_ago, overdue, oldest_renewal, lock_restarts, problems }
    }
}

/// Notes what was asked of the store and what came back. Shared by all who ask.
#[derive(Debug, Default)]
pub(super) struct Pulse(Mutex<Notes>);

#[derive(Debug, Default)]
struct Notes {
    answered: Option<Instant>,
    /// When each answer that is still missing is due, by the number of its question.
    due: BTreeMap<u64, Instant>,
    asked: u64,
}

/// A question that has not been answered. Dropping it takes it back.
#[derive(Debug)]
pub(super) struct Question {
    pulse: Arc<Pulse>,
    number: u64,
}

impl Pulse {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks something whose answer may take this long.
    pub(super) fn ask(self: &Arc<Self>, patience: Duration) -> Question {
        let mut notes = self.notes();
        notes.asked += 1;
        let number = notes.asked;
        notes.due.insert(number, Instant::now() + patience);
        Question { pulse: Arc::clone(self), number }
    }

    /// How long ago the last answer came, and how long the oldest that is missing is overdue.
    pub(super) fn read(&self, now: Instant) -> (Option<Duration>, Duration) {
        let notes = self.notes();
        let overdue = notes.due.values().min().map(|due| now.saturating_duration_since(*due));
        (notes.answered.map(|at| now.saturating_duration_since(at)), overdue.unwrap_or_default())
    }
}

impl Question {
    /// The answer has come.
    pub(super) fn answered(self) {
        self.pulse.notes().answered = Some(Instant::now());
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.pulse.notes().due.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn judge(facts: Facts) -> Vec<HealthProblem> {
        // Renewed after 15 s, trusted for 27 s.
        let health = facts.judge(&Terms::new(30 * SECOND, None).unwrap());
        assert_eq!(health.is_healthy(), health.problems.is_empty());
        health.problems
    }

    #[test]
    fn one_that_has_nothing_to_do_is_healthy_however_long() {
        assert!(judge(Facts::default()).is_empty());
        assert!(judge(Facts { answered_ago: Some(9999 * SECOND), ..Facts::default() }).is_empty());
    }

    #[test]
    fn an_answer_may_be_late_for_as_long_as_locks_last() {
        assert!(judge(Facts { overdue: 30 * SECOND, ..Facts::default() }).is_empty());
        let problems = judge(Facts { overdue: 31 * SECOND, ..Facts::default() });
        assert_eq!(problems, [HealthProblem::NoAnswer { overdue: 31 * SECOND }]);
    }

    #[test]
    fn a_renewal_may_be_late_for_half_of_the_time_that_is_left() {
        assert!(judge(Facts { oldest_renewal: Some(21 * SECOND), ..Facts::default() }).is_empty());
        let problems = judge(Facts { oldest_renewal: Some(22 * SECOND), ..Facts::default() });
        assert_eq!(problems, [HealthProblem::NotRenewed { age: 22 * SECOND }]);
    }

    #[test]
    fn one_that_has_ended_is_waiting_for_nothing() {
        let ended = Some("it was closed".to_owned());
        let problems = judge(Facts { ended, overdue: 999 * SECOND, ..Facts::default() });
        assert!(matches!(&problems[..], [HealthProblem::Ended { why }] if why == "it was closed"));
    }

    #[test]
    fn the_oldest_missing_answer_counts_and_one_taken_back_does_not() {
        let pulse = Arc::new(Pulse::default());
        let begin = Instant::now();
        assert_eq!(pulse.read(begin + 99 * SECOND), (None, Duration::ZERO));
        let slow = pulse.ask(10 * SECOND);
        let quick = pulse.ask(SECOND);
        assert_eq!(pulse.read(begin).1, Duration::ZERO, "nothing is due yet");
        let overdue = pulse.read(begin + 60 * SECOND).1;
        assert!((30 * SECOND..=59 * SECOND).contains(&overdue), "{overdue:?}");
        quick.answered();
        let (ago, overdue) = pulse.read(begin + 60 * SECOND);
        assert!(ago.is_some());
        assert!((20 * SECOND..=50 * SECOND).contains(&overdue), "{overdue:?}");
        drop(slow);
        assert_eq!(pulse.read(begin + 60 * SECOND).1, Duration::ZERO);
    }
}
