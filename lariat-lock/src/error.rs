//! What can go wrong, in words.

use std::fmt;
use std::io;
use std::time::Duration;

/// Why a lock manager was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An option is out of range.
    #[error("{field} is {value:?}, but the rule is {rule}")]
    OutOfRange {
        /// The option.
        field: &'static str,
        /// What was given.
        value: Duration,
        /// What holds, with the figures that follow from the other options.
        rule: String,
    },
    /// `start` was called outside a Tokio runtime, where callbacks and events could not run.
    #[error("a lock manager must be started inside a Tokio runtime: its callbacks and events run there")]
    NoRuntime,
    /// The lock thread could not be started.
    #[error("the lock thread cannot be started: {0}")]
    Thread(#[source] io::Error),
}

/// Why a claim was not tracked. Nothing was recorded, and nothing will be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    /// The manager was told to stop.
    #[error("the lock manager was told to stop")]
    Stopped,
    /// The grant is too old: trust was over before the claim was tracked.
    #[error("the lock was granted too long ago to be trusted")]
    Expired,
    /// The lock thread does not run (or panics over and over), so nothing would be renewed. It may recover.
    #[error("the lock thread does not run, so the lock would not be renewed")]
    Broken,
}

/// Why a lock is no longer ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossReason {
    /// The store says that nobody holds the lock.
    Missing,
    /// The store says that another token holds it.
    Taken,
    /// The store gave no answer before trust ended. It may be ours still; nobody here may act as if it were.
    Expired,
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the lock is gone",
            Self::Taken => "the lock is held by another",
            Self::Expired => "the lock could not be renewed in time",
        })
    }
}

impl std::error::Error for LossReason {}
