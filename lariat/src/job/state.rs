//! The states of a job, as they are called on the wire.

use std::fmt;

/// Where a job is in its life. A job is in exactly one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum JobState {
    /// Ready to run, in the order of arrival.
    Waiting,
    /// Being run by a worker that holds its lock.
    Active,
    /// Waiting for its time.
    Delayed,
    /// Ready to run, in the order of priority.
    Prioritized,
    /// Ended well.
    Completed,
    /// Ended badly: failed for good, or out of attempts.
    Failed,
    /// A parent, waiting for its children to end.
    WaitingChildren,
}

impl JobState {
    /// All states, in the order in which they are listed to people.
    pub const ALL: [JobState; 7] = [
        JobState::Waiting,
        JobState::Active,
        JobState::Delayed,
        JobState::Prioritized,
        JobState::Completed,
        JobState::Failed,
        JobState::WaitingChildren,
    ];

    /// The state's name on the wire and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Waiting => "waiting",
            JobState::Active => "active",
            JobState::Delayed => "delayed",
            JobState::Prioritized => "prioritized",
            JobState::Completed => "completed",
            JobState::Failed => "failed",
            JobState::WaitingChildren => "waiting-children",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
