//! The seam: everything that a queue or a worker may ask of a store, on one page.
//!
//! What crosses it is plain data ([`exchange`], [`change`], [`view`]). No connection, key name, SQL or Lua does. Params
//! carry `now`; a store reads no clock of its own, Redis's expiry times excepted. Each method is one round trip, save those that say
//! otherwise.
//!
//! What may not be in this folder: anything that knows a handler, a slot or a retry decision.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use lariat_lock::BoxFuture;
use lariat_lock::LockStore;
#[cfg(feature = "sqlite")]
use rusqlite::Transaction;

mod capabilities;
pub(crate) mod change;
#[cfg(test)]
#[cfg(feature = "sqlite")]
mod conformance;
pub(crate) mod exchange;
#[cfg(test)]
#[cfg(feature = "sqlite")]
mod faulty;
pub(crate) mod options;
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;
mod url;
pub(crate) mod view;

pub use self::capabilities::{Capabilities, Outlives};
#[cfg(feature = "sqlite")]
use self::change::AddJob;
use self::change::{Add, ChangeJob, Changed, Setting};
#[cfg(feature = "sqlite")]
use self::exchange::SettleIn;
use self::exchange::{Exchange, Exchanged, Recover, Recovered, Woken};
use self::url::Target;
use self::view::{HeldJob, JobPage, LogPage, Metrics, Overview, Page, StoredEvents, WorkerInfo};
use crate::error::{Error, Refusal};
use crate::id::{JobId, Prefix, QueueName};
use crate::job::{JobState, StoredJob};
use crate::time::Clock;

type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// One queue in a store, as seen by workers. Errors are [`Unreachable`](crate::ErrorKind::Unreachable) (not carried out)
/// or [`Unknown`](crate::ErrorKind::Unknown) when the store does not answer; an exchange may be repeated after either.
pub(crate) trait WorkStore: Send + Sync {
    /// Whether this user may do what a worker does: [`Denied`](crate::ErrorKind::Denied) names what is missing. Other
    /// errors say nothing about it.
    fn preflight(&self) -> Answer<'_, ()>;

    /// Takes in outcomes, hands out jobs. Repeating it under the same lane number has no second effect.
    fn exchange<'a>(&'a self, exchange: &'a Exchange, deadline: Duration) -> Answer<'a, Exchanged>;

    /// Waits on a connection of its own until there may be work, at most `longest`. Dropping the future gives up the
    /// connection, and may lose the marker that it was about to report: see [`Exchange::wake_another`].
    fn wait(&self, longest: Duration) -> Answer<'static, Woken>;

    /// One slice of the search for stalled jobs.
    fn recover<'a>(&'a self, recover: &'a Recover) -> Answer<'a, Recovered>;
}

/// One queue in a store, as seen by producers and job handles.
pub(crate) trait JobStore: Send + Sync {
    /// Most jobs that one add should carry: others wait until it is done.
    fn most_added(&self) -> usize {
        change::MOST_ADDED
    }

    /// Adds jobs; one id or refusal for each, in order. Repeating it under the same lane number has no second effect.
    fn add<'a>(&'a self, add: &'a Add) -> Answer<'a, Vec<Result<JobId, Refusal>>>;

    /// Changes one job. Not repeated by anybody: after an `Unknown` error it may or may not have happened.
    fn change<'a>(&'a self, change: &'a ChangeJob) -> Answer<'a, Changed>;

    /// A job and its state, None where there is no such job.
    fn job<'a>(&'a self, id: &'a JobId) -> Answer<'a, Option<StoredJob>>;

    /// Rows of a job's log: `count` of them behind the first `from`. Empty where there is no such job.
    fn logs<'a>(&'a self, id: &'a JobId, from: u64, count: u64) -> Answer<'a, LogPage>;

    /// The part of the store that can take part in a transaction of the caller's; an error where it has none.
    #[cfg(feature = "sqlite")]
    fn join(&self) -> Result<&dyn JoinStore, Error> {
        let words = "only a queue in a SQLite file can take part in a transaction (`Capabilities::transactions`)";
        Err(Error::new(crate::error::ErrorKind::Unsupported, words))
    }
}

/// One queue in a file, within a transaction that the caller has begun on a connection of their own. The one place where a
/// type of the database crosses the seam (ADR 4). All of it is done at once, on the caller's thread.
#[cfg(feature = "sqlite")]
pub(crate) trait JoinStore: Send + Sync {
    /// Adds jobs, all or none.
    fn add_in(&self, tx: &Transaction<'_>, jobs: &[AddJob]) -> Result<Vec<JobId>, Error>;

    /// Takes in an outcome; a refusal is an error, and has changed nothing.
    fn settle_in(&self, tx: &Transaction<'_>, settle: &SettleIn<'_>) -> Result<(), Error>;

    /// Commits the transaction, and has those who wait look.
    fn commit(&self, tx: Transaction<'_>) -> Result<(), Error>;
}

/// One queue in a store, as seen by operators.
pub(crate) trait QueueStore: Send + Sync {
    /// Counts by state, whether it is paused, and its limits.
    fn overview(&self) -> Answer<'_, Overview>;

    /// Changes how the queue is worked. Repeating it has no second effect but the event. To resume goes on, in steps, until
    /// what older clients put aside is merged.
    fn configure(&self, setting: Setting) -> Answer<'_, ()>;

    /// Deletes what a queue without jobs has left; false, and nothing is deleted, where it has jobs. Safe to repeat.
    fn forget(&self) -> Answer<'_, bool>;

    /// Some jobs of one state. Ids without a record are passed over, and the page filled up; a large one in several round
    /// trips.
    fn page<'a>(&'a self, page: &'a Page) -> Answer<'a, JobPage>;

    /// How many ready jobs there are of each priority; 0 is none.
    fn priorities<'a>(&'a self, priorities: &'a [u32]) -> Answer<'a, Vec<u64>>;

    /// The active jobs, longest held first, `most` at most.
    fn held(&self, most: u64) -> Answer<'_, Vec<HeldJob>>;

    /// The workers that are connected.
    fn workers(&self) -> Answer<'_, Vec<WorkerInfo>>;

    /// Jobs that ended in this state, by the minute, `count` minutes at most. Only completed and failed are counted.
    fn metrics(&self, state: JobState, count: u64) -> Answer<'_, Metrics>;
}

/// One queue's events, for one listener.
pub(crate) trait EventStore: Send + Sync {
    /// Events behind `after`, `most` at most, waiting up to `wait` for the first; none within that time is no error.
    /// Without `after` it answers at once where the stream ends now. Safe to repeat.
    fn events<'a>(&'a self, after: Option<&'a str>, most: usize, wait: Duration) -> Answer<'a, StoredEvents>;
}

/// Everything about one queue. The lock manager gets its part separately ([`Backend::locks`]).
pub(crate) trait QueueBackend: WorkStore + JobStore + QueueStore {}
impl<T: WorkStore + JobStore + QueueStore> QueueBackend for T {}

/// A store, before a queue is chosen.
pub(crate) trait Backend: Send + Sync {
    /// What it does that others do not.
    fn capabilities(&self) -> Capabilities;

    /// One queue. `worker` names the waiting connection where the store shows such names.
    fn queue(&self, prefix: &Prefix, queue: &QueueName, worker: Option<&str>) -> Result<Arc<dyn QueueBackend>, Error>;

    /// One queue's locks, on a connection of their own.
    fn locks(&self, prefix: &Prefix, queue: &QueueName) -> Result<Arc<dyn LockStore>, Error>;

    /// One queue's events, on a connection of their own.
    fn events(&self, prefix: &Prefix, queue: &QueueName) -> Result<Arc<dyn EventStore>, Error>;

    /// The names of all queues under a prefix, sorted. As many round trips as it takes.
    fn queues<'a>(&'a self, prefix: &'a Prefix) -> Answer<'a, Vec<QueueName>>;

    /// One cheap round trip that shows that the store is there and lets us in.
    fn ping(&self) -> Answer<'_, ()>;
}

/// The code of the guide about the file, compiled with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/file.md")]
struct FileGuide;

/// And of the one about moving to Redis; its handler for both stores needs the file's transactions.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../../../docs/guides/redis.md")]
struct RedisGuide;

/// Where jobs live: one SQLite file, or a Redis or Valkey server. Cheap to clone; clones share their connections.
///
/// Whoever drops the last handle to a file (of the store, and of what was made from it) waits until the file is closed, 5 s at
/// most, so that a program that ends leaves all in it.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
    prefix: Prefix,
    shown: Arc<str>,
    clock: Clock,
}

impl Store {
    /// Opens a store without any I/O: the URL is checked, connections are made when they are needed.
    ///
    /// - `sqlite:PATH`: a file, made where there is none, that several processes of one machine may share. With
    ///   `?durability=normal` adding and finishing jobs is much faster, but a power cut (not the end of a process) may
    ///   undo the last moments; without it, what was answered is on the disk. A database of another program's is refused,
    ///   unless it is to be shared: `?adopt=true` puts Lariat's tables, all called `lariat_…`, beside those that are there,
    ///   and sets the file to WAL.
    /// - `sqlite::memory:`: for tests; gone with this store and its clones.
    /// - `redis://[user:pass@]host[:port][/db]`, or `redis+unix:PATH`.
    ///
    /// A `%` or `?` in a path is written `%25` or `%3F`. A URL that is not understood, or names a store that is not built, is an
    /// error that says what to pass.
    pub fn open(url: &str) -> Result<Store, Error> {
        let target = url::parse(url)?;
        let shown = target.to_string().into();
        let backend: Arc<dyn Backend> = match target {
            Target::Redis(address) => Arc::new(redis::RedisStore::new(address)),
            #[cfg(feature = "sqlite")]
            Target::Sqlite(address) => Arc::new(sqlite::SqliteStore::new(&address)),
            #[cfg(not(feature = "sqlite"))]
            Target::Sqlite(_) => {
                let words =
                    "this program was built without the feature `sqlite`: pass a Redis server, redis://host:port";
                return Err(Error::new(crate::error::ErrorKind::Unsupported, words));
            }
        };
        Ok(Store { shown, backend, prefix: Prefix::default(), clock: Clock::default() })
    }

    /// Opens a store and makes sure that it is there and lets us in.
    pub async fn connect(url: &str) -> Result<Store, Error> {
        let store = Store::open(url)?;
        store.ping().await?;
        Ok(store)
    }

    /// The same store with another key prefix (BullMQ's `prefix`; `bull` unless set).
    #[must_use]
    pub fn with_prefix(&self, prefix: Prefix) -> Store {
        Store { prefix, ..self.clone() }
    }

    /// One cheap round trip that shows that the store is there and lets us in.
    pub async fn ping(&self) -> Result<(), Error> {
        self.backend.ping().await
    }

    /// What this store does that others do not. No I/O.
    pub fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }

    /// The locks of one queue, for a [`LockManager`](lariat_lock::LockManager) of your own; the queue may be shared
    /// with BullMQ workers.
    pub fn locks(&self, queue: &str) -> Result<Arc<dyn LockStore>, Error> {
        self.lock_store(&QueueName::new(queue)?)
    }

    /// The names of the queues under this prefix, sorted. On Redis this goes through all keys of the database in small
    /// steps, so it may take a while where there are many.
    pub async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        self.backend.queues(&self.prefix).await
    }

    pub(crate) fn lock_store(&self, queue: &QueueName) -> Result<Arc<dyn LockStore>, Error> {
        self.backend.locks(&self.prefix, queue)
    }

    /// The key prefix in use.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// In memory, with this clock.
    #[cfg(feature = "sqlite")]
    pub(crate) fn in_memory(clock: Clock) -> Store {
        let address = url::SqliteAddress::MEMORY;
        let backend = Arc::new(sqlite::SqliteStore::new(&address));
        Store { shown: address.to_string().into(), backend, prefix: Prefix::default(), clock }
    }

    /// Where its handles read the `now` that they pass with their calls.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn event_store(&self, queue: &QueueName) -> Result<Arc<dyn EventStore>, Error> {
        self.backend.events(&self.prefix, queue)
    }

    pub(crate) fn queue(&self, queue: &QueueName, worker: Option<&str>) -> Result<Arc<dyn QueueBackend>, Error> {
        self.backend.queue(&self.prefix, queue, worker)
    }
}

/// The address without its password.
impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({self})")
    }
}
