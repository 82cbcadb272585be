//! What is read from a queue as a whole. Plain data.

use crate::job::JobState;

/// A queue at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Overview {
    /// No job is handed out until the queue is resumed.
    pub paused: bool,
    /// Jobs in each state.
    pub counts: Counts,
}

/// How many jobs are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Ready to run, without priority. Includes jobs that a BullMQ 5 client left in its list of paused jobs.
    pub waiting: u64,
    /// Being run.
    pub active: u64,
    /// Waiting for their time.
    pub delayed: u64,
    /// Ready to run, with priority.
    pub prioritized: u64,
    /// Ended well, and kept.
    pub completed: u64,
    /// Ended badly, and kept.
    pub failed: u64,
    /// Parents waiting for children.
    pub waiting_children: u64,
}

impl Counts {
    /// The count of one state.
    pub fn of(&self, state: JobState) -> u64 {
        match state {
            JobState::Waiting => self.waiting,
            JobState::Active => self.active,
            JobState::Delayed => self.delayed,
            JobState::Prioritized => self.prioritized,
            JobState::Completed => self.completed,
            JobState::Failed => self.failed,
            JobState::WaitingChildren => self.waiting_children,
        }
    }

    /// Jobs that are still to be run or being run: waiting, prioritized, delayed and active. Parents that wait for
    /// children are not among them.
    pub fn unfinished(&self) -> u64 {
        self.waiting + self.active + self.delayed + self.prioritized
    }
}
