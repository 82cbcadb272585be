//! What the bench says to a driver process and what it answers: one JSON line each way, one answer per command.
//!
//! `node/driver.mjs` speaks the same.

use serde::{Deserialize, Serialize};

/// How a driver adds its jobs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "how")]
pub(crate) enum Pace {
    /// One call per `size` jobs, the next call after the answer.
    Batch {
        /// Jobs a call.
        size: usize,
    },
    /// `width` single adds in flight at any time.
    Flight {
        /// Adds in flight.
        width: usize,
    },
    /// One add every `gap_us` microseconds, each stamped with the time just before it is sent.
    Paced {
        /// Microseconds between two adds.
        gap_us: u64,
    },
}

/// A command to a driver.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "do")]
pub(crate) enum Command {
    /// Start a worker.
    Work(WorkerSpec),
    /// Answer when this many handlers have run to their end since the last `Forget`.
    Finish {
        /// Handlers.
        count: u64,
    },
    /// Close the workers started so far.
    Close,
    /// Add jobs.
    Add {
        /// Queue.
        queue: String,
        /// Job name; it chooses what the handler does.
        name: String,
        /// Jobs.
        jobs: usize,
        /// How.
        pace: Pace,
        /// For `block`: how long the handler blocks its thread, in milliseconds.
        block_ms: u64,
    },
    /// What the process has used so far.
    Usage,
    /// What the handlers have seen since the last `Forget`.
    Seen,
    /// Count from zero again.
    Forget,
}

/// A worker to start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WorkerSpec {
    /// Queue.
    pub(crate) queue: String,
    /// Slots.
    pub(crate) concurrency: usize,
    /// Lock duration in milliseconds; the renew time is left at its default, half of it.
    pub(crate) lock_ms: u64,
    /// Stalled check interval in milliseconds.
    pub(crate) stalled_ms: u64,
    /// Also watch how long the runtime stands still.
    pub(crate) watch: bool,
}

/// A driver's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "answer")]
pub(crate) enum Answer {
    /// Done.
    Done,
    /// The jobs are added.
    Added {
        /// From the first call to the last answer, in microseconds.
        elapsed_us: u64,
    },
    /// What the process has used so far.
    Usage(Usage),
    /// What the handlers have seen.
    Seen(Seen),
    /// The command failed.
    Error {
        /// Why.
        why: String,
    },
}

/// What a process has used since it began, by the kernel's account.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// User and system CPU in microseconds.
    pub(crate) cpu_us: u64,
    /// Voluntary and involuntary context switches.
    pub(crate) switches: u64,
    /// Largest resident size in KiB.
    pub(crate) peak_kib: u64,
}

/// What the handlers have seen.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// From just before the add was sent to the handler's first line, in microseconds, per `quick` job.
    pub(crate) start_us: Vec<u64>,
    /// Jobs whose handler or worker was told that the lock is gone.
    pub(crate) told_lost: u64,
    /// The longest time the runtime stood still, in milliseconds (only if watched).
    pub(crate) standstill_ms: u64,
}

#[allow(clippy::cast_precision_loss, reason = "microseconds and counts of one run")]
impl Usage {
    /// CPU since `before`, in microseconds.
    pub(crate) fn cpu_us_since(&self, before: &Self) -> f64 {
        self.cpu_us.saturating_sub(before.cpu_us) as f64
    }

    /// Context switches since `before`.
    pub(crate) fn switches_since(&self, before: &Self) -> f64 {
        self.switches.saturating_sub(before.switches) as f64
    }
}
