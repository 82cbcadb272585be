//! Why the command fails, and the exit status that says so.

use std::error::Error as StdError;
use std::fmt;

use lariat::{ErrorKind, Refusal, StopReason};

/// The exit statuses, as the manual lists them. Ended by force is 128 and the signal.
pub(crate) mod status {
    pub(crate) const DONE: u8 = 0;
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const NOT_FOUND: u8 = 3;
    pub(crate) const UNREACHABLE: u8 = 4;
    pub(crate) const HANDED_BACK: u8 = 5;
}

/// What is said on stderr, and the exit status that goes with it.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    /// It did not work.
    pub(crate) fn failed(message: impl Into<String>) -> Failure {
        Failure { status: status::FAILED, message: message.into() }
    }

    /// It was asked for in a way that cannot work.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure { status: status::USAGE, message: message.into() }
    }

    /// There is no such thing.
    pub(crate) fn not_found(message: impl Into<String>) -> Failure {
        Failure { status: status::NOT_FOUND, message: message.into() }
    }

    /// The store is not there.
    pub(crate) fn unreachable(message: impl Into<String>) -> Failure {
        Failure { status: status::UNREACHABLE, message: message.into() }
    }

    /// The same status, with words in front of the message.
    pub(crate) fn before(mut self, words: &str) -> Failure {
        self.message = format!("{words}{}", self.message);
        self
    }

    /// The same status, with words behind the message.
    pub(crate) fn after(mut self, words: &str) -> Failure {
        self.message.push_str(words);
        self
    }

    pub(crate) fn status(&self) -> u8 {
        self.status
    }
}

impl From<lariat::Error> for Failure {
    fn from(error: lariat::Error) -> Failure {
        let status = match error.kind() {
            ErrorKind::Invalid | ErrorKind::Unsupported => status::USAGE,
            ErrorKind::Refused(Refusal::MissingJob) => status::NOT_FOUND,
            ErrorKind::Unreachable | ErrorKind::Unknown | ErrorKind::Denied => status::UNREACHABLE,
            _ => status::FAILED,
        };
        Failure { status, message: chain(&error) }
    }
}

impl From<&StopReason> for Failure {
    fn from(why: &StopReason) -> Failure {
        match why.kind() {
            ErrorKind::Denied => Failure::unreachable(why.to_string()),
            // Jobs that this version cannot continue are no fault of the command line, which is what 2 would say.
            _ => Failure::failed(why.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// An error and its sources on one line, without saying anything twice.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let words = source.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_broken_by_the_caller_is_a_usage_error() {
        let error = lariat::JobId::custom("17").unwrap_err();
        let failure = Failure::from(error);
        assert_eq!(failure.status(), status::USAGE);
        assert!(failure.to_string().contains("17"), "{failure}");
    }
}
