//! A queue's handles: for those who add jobs, look after them, or take and settle them by hand.
//!
//! [`add`] checks what is added and [`lane`] carries it, several adds a call; `add_in` does without, in a transaction of
//! the caller's; [`edit`] changes one job, [`admin`] how the
//! queue is worked, [`read`] looks into it; [`finished`] waits for a job's end, of which [`watch`] hears; [`manual`] takes
//! jobs by hand, and goes by the worker's calls and lease. What may not be in this folder: anything that runs a handler.

mod add;
#[cfg(feature = "sqlite")]
mod add_in;
mod admin;
mod edit;
mod finished;
mod lane;
mod manual;
mod read;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tracing::Instrument as _;

pub use self::add::{Adding, NewJob};
#[cfg(feature = "sqlite")]
pub use self::add_in::AddingIn;
pub use self::edit::{JobEdit, Reprocess};
pub use self::finished::Finished;
use self::lane::AddLane;
pub use self::manual::{Manual, ManualBuilder, TakenJob};
#[cfg(feature = "sqlite")]
pub(crate) use self::manual::{Ran, Received};
use self::watch::Watch;
use crate::error::Error;
use crate::id::{JobId, QueueName};
use crate::store::{QueueBackend, Store};
use crate::telemetry;
use crate::time::Clock;

/// One queue, to add jobs to and look into. Cheap to clone.
///
/// ```no_run
/// # async fn example() -> Result<(), lariat::Error> {
/// use std::time::Duration;
/// use lariat::{Queue, Store};
///
/// let store = Store::connect("sqlite:lariat.db").await?;
/// let mail = Queue::new(&store, "mail")?;
/// mail.add("welcome", "ada@example.org").delay(Duration::from_secs(5)).attempts(3).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Queue {
    name: QueueName,
    backend: Arc<dyn QueueBackend>,
    clock: Clock,
    adds: AddLane,
    /// Shared by clones: one reader of events for all who wait for a job's end.
    watch: Arc<Watch>,
}

impl Queue {
    /// The queue of this name in a store. No I/O; a queue exists once it has jobs.
    pub fn new(store: &Store, name: &str) -> Result<Queue, Error> {
        let name = QueueName::new(name)?;
        let backend = store.queue(&name, None)?;
        let adds = AddLane::new(Arc::clone(&backend));
        let watch = Arc::new(Watch::new(store, &name)?);
        Ok(Queue { name, backend, clock: store.clock().clone(), adds, watch })
    }

    /// How long an `add` keeps trying while the store does not answer; 5 seconds unless set. Clones of this handle made
    /// before keep their own.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Queue {
        self.adds.set_patience(patience);
        self
    }

    /// The queue's name.
    pub fn name(&self) -> &QueueName {
        &self.name
    }

    /// Adds a job; `.await` it, with options before if wanted.
    ///
    /// Adds that are under way at the same time travel in one call. Once the store has answered, the job is kept. An
    /// error that [`is_unknown`](Error::is_unknown) says that the job may or may not have been added. Cancel safety: a
    /// dropped `add` that was polled may still add its job.
    pub fn add<T: Serialize + ?Sized>(&self, name: impl Into<String>, data: &T) -> Adding<'_> {
        Adding::new(self, NewJob::new(name, data))
    }

    /// Adds many jobs, 500 a call, in a file 1,000; the ids come in the order of the jobs.
    ///
    /// All are checked before the first is sent. When a later call fails, the jobs of the calls before it stay added.
    pub async fn add_bulk(&self, jobs: impl IntoIterator<Item = NewJob>) -> Result<Vec<JobId>, Error> {
        let now = self.clock.now();
        let jobs = jobs.into_iter().map(|job| job.checked(now)).collect::<Result<Vec<_>, _>>();
        let jobs = jobs.map_err(|e| e.in_queue(&self.name))?;
        let span = telemetry::add_bulk(self.name.as_str(), jobs.len());
        self.adds.add_all(jobs).instrument(span).await.map_err(|e| e.in_queue(&self.name))
    }

    /// One job of this queue, to be changed.
    pub fn edit<'a>(&'a self, id: &'a JobId) -> JobEdit<'a> {
        JobEdit::new(self, id)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({})", self.name)
    }
}
