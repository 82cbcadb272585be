//! The one error of this crate.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What went wrong, in one opaque type: ask it ([`kind`](Error::kind) and the `is_…` predicates), print it, or follow
/// its [`source`](StdError::source) chain.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    queue: Option<String>,
    job: Option<String>,
    source: Option<Source>,
}

/// The sort of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value given by the caller breaks a rule; nothing was sent. The message names field, value and rule.
    Invalid,
    /// The store answered, and said no.
    Refused(Refusal),
    /// The store could not be reached; the call was not carried out.
    Unreachable,
    /// The connection or the deadline ended after the call was sent: it may or may not have been carried out.
    Unknown,
    /// The store wants other credentials, or does not allow this user a command or key that is needed.
    Denied,
    /// The store failed in carrying out the call (out of memory, a key of the wrong type, a script error).
    Store,
    /// Something read from the store, or given as payload, is not what it should be.
    Data,
    /// What was asked for is not built, or not in this store.
    Unsupported,
    /// The handle that was used has been closed.
    Closed,
}

/// The refusals that a store can answer with: BullMQ's error codes, a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// -1: there is no such job.
    MissingJob,
    /// -2: the job is not locked.
    MissingLock,
    /// -3: the job is not in the state that the change starts from.
    NotInState,
    /// -4: the job still has children that have not ended.
    PendingChildren,
    /// -5: there is no such parent.
    MissingParent,
    /// -6: somebody else holds the job's lock.
    LockTaken,
    /// -7: the job belongs to another live parent.
    OtherParent,
    /// -8: the job is the current one of a job scheduler.
    SchedulerJob,
    /// -9: a child failed, and the job asked to fail with it.
    FailedChildren,
    /// -10: the next run of the scheduler already exists as a job.
    ScheduleTaken,
    /// -11: none of the scheduler's next slots is free.
    ScheduleFull,
}

impl Refusal {
    const ALL: [(i64, Refusal); 11] = [
        (-1, Refusal::MissingJob),
        (-2, Refusal::MissingLock),
        (-3, Refusal::NotInState),
        (-4, Refusal::PendingChildren),
        (-5, Refusal::MissingParent),
        (-6, Refusal::LockTaken),
        (-7, Refusal::OtherParent),
        (-8, Refusal::SchedulerJob),
        (-9, Refusal::FailedChildren),
        (-10, Refusal::ScheduleTaken),
        (-11, Refusal::ScheduleFull),
    ];

    /// BullMQ's number for this refusal.
    pub fn code(self) -> i64 {
        Self::ALL.iter().find(|(_, refusal)| *refusal == self).map_or(0, |(code, _)| *code)
    }

    pub(crate) fn from_code(code: i64) -> Option<Refusal> {
        Self::ALL.iter().find(|(known, _)| *known == code).map(|(_, refusal)| *refusal)
    }

    /// Whether this says that the caller no longer holds the job.
    pub fn is_lost_lock(self) -> bool {
        matches!(self, Refusal::MissingJob | Refusal::MissingLock | Refusal::LockTaken | Refusal::NotInState)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::MissingJob => "there is no such job",
            Refusal::MissingLock => "the job is not locked",
            Refusal::NotInState => "the job is not in the state that this starts from",
            Refusal::PendingChildren => "the job has children that have not ended",
            Refusal::MissingParent => "there is no such parent job",
            Refusal::LockTaken => "somebody else holds the job's lock",
            Refusal::OtherParent => "the job belongs to another parent",
            Refusal::SchedulerJob => "the job is the current one of a job scheduler",
            Refusal::FailedChildren => "a child of the job has failed",
            Refusal::ScheduleTaken => "the scheduler's next job already exists",
            Refusal::ScheduleFull => "none of the scheduler's next slots is free",
        })
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        Error(Box::new(Inner { kind, message: message.into(), queue: None, job: None, source: None }))
    }

    /// A value of the caller's that breaks a rule.
    pub(crate) fn invalid(field: &str, value: impl fmt::Display, rule: &str) -> Error {
        let value = value.to_string();
        Error::new(ErrorKind::Invalid, format!("{field} {value:?} {rule}"))
    }

    pub(crate) fn refused(refusal: Refusal) -> Error {
        Error::new(ErrorKind::Refused(refusal), refusal.to_string())
    }

    #[must_use]
    pub(crate) fn because(mut self, source: impl Into<Source>) -> Error {
        self.0.source = Some(source.into());
        self
    }

    /// With the store's name in front of the words.
    #[must_use]
    #[cfg(feature = "sqlite")]
    pub(crate) fn in_store(mut self, store: impl fmt::Display) -> Error {
        self.0.message = format!("{store}: {}", self.0.message).into();
        self
    }

    #[must_use]
    pub(crate) fn in_queue(mut self, queue: impl fmt::Display) -> Error {
        self.0.queue.get_or_insert_with(|| queue.to_string());
        self
    }

    #[must_use]
    pub(crate) fn for_job(mut self, job: impl fmt::Display) -> Error {
        self.0.job.get_or_insert_with(|| job.to_string());
        self
    }

    /// A second error with the same words, for a second caller who waits for the same call. Its source is text only.
    pub(crate) fn echo(&self) -> Error {
        Error(Box::new(Inner {
            kind: self.0.kind,
            message: self.0.message.clone(),
            queue: self.0.queue.clone(),
            job: self.0.job.clone(),
            source: self.0.source.as_ref().map(|source| chain(&**source).into()),
        }))
    }

    /// The sort of error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The queue that this is about, where there is one.
    pub fn queue(&self) -> Option<&str> {
        self.0.queue.as_deref()
    }

    /// The job that this is about, where there is one.
    pub fn job(&self) -> Option<&str> {
        self.0.job.as_deref()
    }

    /// A value given by the caller breaks a rule.
    pub fn is_invalid(&self) -> bool {
        self.0.kind == ErrorKind::Invalid
    }

    /// The store could not be reached, or was lost before it answered.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unreachable | ErrorKind::Unknown)
    }

    /// Whether the call may have been carried out although it failed.
    pub fn is_unknown(&self) -> bool {
        self.0.kind == ErrorKind::Unknown
    }

    /// The store's refusal, when it answered with one.
    pub fn refusal(&self) -> Option<Refusal> {
        match self.0.kind {
            ErrorKind::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// An error and its sources on one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(queue) = &self.0.queue {
            write!(f, "queue {queue:?}: ")?;
        }
        if let Some(job) = &self.0.job {
            write!(f, "job {job:?}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.to_string())
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
