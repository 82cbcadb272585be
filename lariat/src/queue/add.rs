//! A job to be added: what the producer says of it, and the checks before anything is sent.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tracing::Instrument as _;

use super::Queue;
use crate::error::{Error, ErrorKind};
use crate::id::JobId;
use crate::job::{Backoff, JobOptions, Keep};
use crate::store::change::AddJob;
use crate::telemetry;
use crate::time::Timestamp;

/// A job to be added with [`Queue::add_bulk`]. Its setters never fail: everything is checked when it is added.
#[derive(Debug)]
#[must_use = "a job is added by Queue::add_bulk"]
pub struct NewJob {
    name: String,
    data: Result<Box<RawValue>, serde_json::Error>,
    options: Arc<JobOptions>,
    id: Option<Arc<str>>,
}

/// The options of a job of which nothing has been said. They are large, and mostly stay as they are: jobs share them until
/// one is set.
fn unset() -> Arc<JobOptions> {
    static UNSET: LazyLock<Arc<JobOptions>> = LazyLock::new(Arc::default);
    Arc::clone(&UNSET)
}

/// A job about to be added: `.await` it. Made by [`Queue::add`].
#[must_use = "a job is added when this is awaited"]
pub struct Adding<'a> {
    queue: &'a Queue,
    job: NewJob,
}

impl NewJob {
    /// A job with this name and payload, and default options.
    pub fn new<T: Serialize + ?Sized>(name: impl Into<String>, data: &T) -> NewJob {
        NewJob { name: name.into(), data: to_raw_value(data), options: unset(), id: None }
    }

    pub(super) fn set(mut self, set: impl FnOnce(&mut JobOptions)) -> NewJob {
        set(Arc::make_mut(&mut self.options));
        self
    }

    pub(super) fn set_id(mut self, id: Arc<str>) -> NewJob {
        self.id = Some(id);
        self
    }

    /// Checks everything that does not need the store, as [`Queue::add_bulk`] will: for whoever wants to know which of
    /// many jobs is bad before the first is sent.
    pub fn check(&self) -> Result<(), Error> {
        if self.name.is_empty() {
            return Err(Error::invalid("job name", "", "must not be empty"));
        }
        if let Some(id) = &self.id {
            JobId::custom(Arc::clone(id))?;
        }
        self.options.check(Timestamp::now())?;
        match &self.data {
            Ok(data) => self.options.check_size(data.get()),
            Err(error) => {
                let words = format!("the data cannot be written as JSON: {error}");
                Err(Error::new(ErrorKind::Data, words))
            }
        }
    }

    /// Checks everything that does not need the store.
    pub(super) fn checked(self, now: Timestamp) -> Result<AddJob, Error> {
        let NewJob { name, data, mut options, id } = self;
        if name.is_empty() {
            return Err(Error::invalid("job name", "", "must not be empty"));
        }
        if let Some(id) = id {
            Arc::make_mut(&mut options).id = Some(JobId::existing(id)?);
        }
        options.check(now)?;
        let data = data.map_err(|e| Error::new(ErrorKind::Data, "the data cannot be written as JSON").because(e))?;
        options.check_size(data.get())?;
        Ok(AddJob { name, data, options, timestamp: now })
    }
}

impl<'a> Adding<'a> {
    pub(super) fn new(queue: &'a Queue, job: NewJob) -> Adding<'a> {
        Adding { queue, job }
    }

    fn set(mut self, set: impl FnOnce(&mut JobOptions)) -> Adding<'a> {
        self.job = self.job.set(set);
        self
    }

    fn set_id(mut self, id: Arc<str>) -> Adding<'a> {
        self.job = self.job.set_id(id);
        self
    }
}

macro_rules! setters {
    ($($type:ty),*) => {$(
        impl $type {
            /// Runs the job no earlier than this much later.
            pub fn delay(self, delay: Duration) -> Self {
                self.set(|o| o.delay = delay)
            }

            /// 1 (most urgent) to 2,097,151; 0 is none: in order of arrival, before all prioritized jobs.
            pub fn priority(self, priority: u32) -> Self {
                self.set(|o| o.priority = priority)
            }

            /// How often the job may be tried; 1 unless set.
            pub fn attempts(self, attempts: u32) -> Self {
                self.set(|o| o.attempts = attempts)
            }

            /// How long to wait between attempts; not at all unless set.
            pub fn backoff(self, backoff: Backoff) -> Self {
                self.set(|o| o.backoff = Some(backoff))
            }

            /// In front of the waiting jobs rather than behind them.
            pub fn lifo(self) -> Self {
                self.set(|o| o.lifo = true)
            }

            /// An id of your own ([`JobId::custom`] has the rules). Adding an id that exists adds nothing, and returns it.
            pub fn id(self, id: impl Into<Arc<str>>) -> Self {
                self.set_id(id.into())
            }

            /// How long one attempt may take; then it is stopped, and counts as failed.
            pub fn timeout(self, timeout: Duration) -> Self {
                self.set(|o| o.timeout = Some(timeout))
            }

            /// Which completed jobs are kept; all unless set.
            pub fn remove_on_complete(self, keep: Keep) -> Self {
                self.set(|o| o.remove_on_complete = Some(keep))
            }

            /// Which failed jobs are kept; all unless set.
            pub fn remove_on_fail(self, keep: Keep) -> Self {
                self.set(|o| o.remove_on_fail = Some(keep))
            }

            /// Most bytes that the payload may have as JSON; without limit unless set (BullMQ's `sizeLimit`). A larger one is
            /// refused before anything is sent.
            pub fn size_limit(self, bytes: u64) -> Self {
                self.set(|o| o.size_limit = Some(bytes))
            }

            /// Replaces all options at once.
            pub fn options(self, options: JobOptions) -> Self {
                self.set(|o| *o = options)
            }
        }
    )*};
}

#[cfg(feature = "sqlite")]
pub(super) use setters;

setters!(NewJob, Adding<'_>);

impl<'a> IntoFuture for Adding<'a> {
    type Output = Result<JobId, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Adding { queue, job } = self;
        Box::pin(async move {
            let job = job.checked(queue.clock.now()).map_err(|e| e.in_queue(&queue.name))?;
            let span = telemetry::add(queue.name.as_str(), &job.name);
            let id = queue.adds.add(job).instrument(span.clone()).await.map_err(|e| e.in_queue(&queue.name))?;
            span.record(telemetry::JOB_ID, id.as_str());
            Ok(id)
        })
    }
}

impl fmt::Debug for Adding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adding").field("queue", self.queue).field("job", &self.job).finish()
    }
}
