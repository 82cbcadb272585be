//! Names and ids, validated when made: whoever holds one need not ask again.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;

/// Words that follow a queue's base key in the store; a job with such an id would collide with the queue's own keys.
const RESERVED: [&str; 19] = [
    "active",
    "wait",
    "waiting-children",
    "paused",
    "id",
    "delayed",
    "prioritized",
    "stalled-check",
    "completed",
    "failed",
    "stalled",
    "repeat",
    "limiter",
    "meta",
    "events",
    "pc",
    "marker",
    "de",
    "metrics",
];

const LONGEST: usize = 512;

/// The name of a queue: not empty, at most 512 bytes, no `:` and no control characters. Braces are kept as they are
/// (on Redis Cluster they choose the slot).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName(Arc<str>);

impl QueueName {
    /// Checks and wraps a name.
    pub fn new(name: impl Into<Arc<str>>) -> Result<QueueName, Error> {
        let name = name.into();
        check("queue name", &name)?;
        if name.contains(':') {
            return Err(Error::invalid("queue name", &name, "must not contain ':'"));
        }
        Ok(QueueName(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The first part of every key of a queue, BullMQ's `prefix`; `bull` unless set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// Checks and wraps a prefix: not empty, at most 512 bytes, no control characters, and not `lariat`, where our own
    /// keys live.
    pub fn new(prefix: impl Into<Arc<str>>) -> Result<Prefix, Error> {
        let prefix = prefix.into();
        check("prefix", &prefix)?;
        if &*prefix == "lariat" || prefix.starts_with("lariat:") {
            return Err(Error::invalid("prefix", &prefix, "must not be 'lariat', which holds Lariat's own keys"));
        }
        Ok(Prefix(prefix))
    }

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Prefix(Arc::from("bull"))
    }
}

/// The id of a job, unique within its queue.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(Arc<str>);

impl JobId {
    /// An id chosen by the caller for a new job: not empty, at most 512 bytes, no control characters, no `:`, not a
    /// number (numbers are what the queue hands out), and not a word that the queue's own keys use (`meta`, `wait`, …).
    /// The rules are BullMQ's, made strict where BullMQ only warns.
    pub fn custom(id: impl Into<Arc<str>>) -> Result<JobId, Error> {
        let id = id.into();
        check("job id", &id)?;
        if id.contains(':') {
            return Err(Error::invalid("job id", &id, "must not contain ':'"));
        }
        let digits = id.strip_prefix(['-', '+']).unwrap_or(&id);
        if digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::invalid("job id", &id, "must not be a whole number: those are given out by the queue"));
        }
        if RESERVED.contains(&&*id) {
            return Err(Error::invalid("job id", &id, "must not be a word that the queue's own keys use"));
        }
        Ok(JobId(id))
    }

    /// An id as found in a store or on a command line: anything that is not empty. Jobs of other clients may have ids
    /// that [`custom`](Self::custom) would refuse.
    pub fn existing(id: impl Into<Arc<str>>) -> Result<JobId, Error> {
        let id = id.into();
        if id.is_empty() {
            return Err(Error::invalid("job id", "", "must not be empty"));
        }
        Ok(JobId(id))
    }

    /// An id that the store itself gave out or keeps.
    #[cfg(feature = "sqlite")]
    pub(crate) fn stored(id: impl Into<Arc<str>>) -> JobId {
        JobId(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

macro_rules! text {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )*};
}

text!(QueueName, Prefix, JobId);

fn check(field: &'static str, value: &str) -> Result<(), Error> {
    if value.is_empty() {
        return Err(Error::invalid(field, value, "must not be empty"));
    }
    if value.len() > LONGEST {
        let head: String = value.chars().take(24).collect();
        return Err(Error::invalid(field, format!("{head}… ({} bytes)", value.len()), "must have at most 512 bytes"));
    }
    if value.chars().any(char::is_control) {
        return Err(Error::invalid(field, value, "must not contain control characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_names() {
        for good in ["mail", "{orders}", "a b", "ÄÖ"] {
            assert_eq!(QueueName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a:b", "a\nb", &"x".repeat(513)] {
            assert!(QueueName::new(bad).unwrap_err().is_invalid(), "{bad:?}");
        }
    }

    #[test]
    fn custom_ids_refuse_what_would_collide_or_be_misread() {
        for good in ["invoice-7", "7a", "é"] {
            assert!(JobId::custom(good).is_ok(), "{good:?}");
        }
        for bad in ["", "0", "17", "-3", "0:1", "a:b:c", "meta", "wait", "a\0b"] {
            assert!(JobId::custom(bad).unwrap_err().is_invalid(), "{bad:?}");
        }
        assert!(JobId::existing("repeat:x:17").is_ok());
        assert!(JobId::existing("").is_err());
    }

    #[test]
    fn the_error_names_field_value_and_rule() {
        let text = JobId::custom("17").unwrap_err().to_string();
        assert!(text.contains("job id") && text.contains("17") && text.contains("whole number"), "{text}");
    }

    #[test]
    fn our_own_prefix_is_refused() {
        assert!(Prefix::new("lariat").is_err());
        assert!(Prefix::new("lariats").is_ok());
    }
}
