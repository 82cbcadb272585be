//! Jobs in one SQLite file, or in memory, with no server.
//!
//! One file per thing that is asked of the store. What changes anything goes through the one thread of `writer.rs`; what
//! only looks has connections of its own (`readers.rs`). Several processes may use one file: they take turns in writing,
//! and `wake.rs` sees what the others have written. What may not be in this folder: anything that knows a handler, a slot
//! or a retry decision.

mod add;
mod change;
mod clock;
mod configure;
#[cfg(test)]
mod cost;
mod events;
mod exchange;
mod fault;
mod file;
mod finish;
mod insert;
mod join;
mod lane;
mod layout;
mod locks;
mod number;
mod open;
mod parent;
mod queue;
mod read;
mod readers;
mod record;
mod recover;
mod remove;
mod settle;
mod take;
#[cfg(test)]
mod tests;
mod tx;
mod wake;
mod work;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use lariat_lock::LockStore;

use self::locks::SqliteLocks;
use self::queue::QueueKey;
use self::readers::Readers;
use self::writer::{Turn, Writer};
use super::change::{Add, ChangeJob, Changed, Setting};
use super::exchange::{Exchange, Exchanged, Recover, Recovered, Woken};
use super::url::{Durability, SqliteAddress, SqlitePlace};
use super::view::{HeldJob, JobPage, LogPage, Metrics, Overview, Page, StoredEvents, WorkerInfo};
use super::{
    Answer, Backend, Capabilities, EventStore, JobStore, JoinStore, Outlives, QueueBackend, QueueStore, WorkStore,
};
use crate::error::{Error, ErrorKind, Refusal};
use crate::id::{JobId, Prefix, QueueName};
use crate::job::{JobState, StoredJob};

/// How long a call may wait for its turn where its caller does not say.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most jobs of one add. Whatever their number, a commit writes the pages anew with which its tables end; and the writer
/// has nothing to do while its caller makes the next call.
const MOST_ADDED: usize = 1_000;

/// One file, or one database in memory. It is opened by the first call.
pub(super) struct SqliteStore {
    address: Arc<SqliteAddress>,
    writer: Arc<Writer>,
    readers: Arc<Readers>,
}

impl SqliteStore {
    pub(super) fn new(address: &SqliteAddress) -> SqliteStore {
        let mut address = address.clone();
        if let SqlitePlace::File(path) = &mut address.place {
            // The program may change its folder before the first call. Where there is none, that call says so.
            *path = std::path::absolute(&*path).unwrap_or_else(|_| path.clone());
        }
        let writer = Arc::new(Writer::new(address.clone()));
        let readers = Arc::new(Readers::new(&address, Arc::clone(&writer)));
        SqliteStore { address: Arc::new(address), writer, readers }
    }

    fn on(&self, prefix: &Prefix, queue: &QueueName) -> Arc<SqliteQueue> {
        let key = Arc::new(QueueKey::new(prefix, queue));
        let (address, writer, readers) =
            (Arc::clone(&self.address), Arc::clone(&self.writer), Arc::clone(&self.readers));
        Arc::new(SqliteQueue { key, address, writer, readers })
    }
}

impl Backend for SqliteStore {
    fn capabilities(&self) -> Capabilities {
        let outlives = match (&self.address.place, self.address.durability) {
            (SqlitePlace::Memory, _) => Outlives::Nothing,
            (SqlitePlace::File(_), Durability::Normal) => Outlives::Processes,
            (SqlitePlace::File(_), Durability::Full) => Outlives::PowerCuts,
        };
        let shared = outlives != Outlives::Nothing;
        Capabilities { transactions: shared, processes: shared, machines: false, bullmq: false, outlives }
    }

    fn queue(&self, prefix: &Prefix, queue: &QueueName, _: Option<&str>) -> Result<Arc<dyn QueueBackend>, Error> {
        Ok(self.on(prefix, queue))
    }

    fn locks(&self, prefix: &Prefix, queue: &QueueName) -> Result<Arc<dyn LockStore>, Error> {
        let key = Arc::new(QueueKey::new(prefix, queue));
        Ok(Arc::new(SqliteLocks { writer: Arc::clone(&self.writer), key }))
    }

    fn events(&self, prefix: &Prefix, queue: &QueueName) -> Result<Arc<dyn EventStore>, Error> {
        Ok(self.on(prefix, queue))
    }

    fn queues<'a>(&'a self, prefix: &'a Prefix) -> Answer<'a, Vec<QueueName>> {
        Box::pin(async move {
            let prefix = prefix.to_string();
            let names = self.readers.read(move |file| read::queues(file, &prefix)).await?;
            Ok(names.into_iter().filter_map(|name| QueueName::new(name).ok()).collect())
        })
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(self.readers.read(|_| Ok(())))
    }
}

/// One queue in a file.
struct SqliteQueue {
    key: Arc<QueueKey>,
    address: Arc<SqliteAddress>,
    writer: Arc<Writer>,
    readers: Arc<Readers>,
}

impl SqliteQueue {
    fn look<T: Send + 'static>(
        &self,
        look: impl Fn(&rusqlite::Connection, &QueueKey) -> Result<T, fault::Fault> + Send + 'static,
    ) -> Answer<'_, T> {
        let key = Arc::clone(&self.key);
        Box::pin(self.readers.read(move |file| look(file, &key)))
    }
}

impl WorkStore for SqliteQueue {
    /// A file that is none of ours, or must not be written, will not become so while the worker waits.
    fn preflight(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let opened = self.writer.call(Turn::InOrder, PATIENCE, |_| Ok(())).await;
            opened.map_err(|error| match error.kind() {
                ErrorKind::Invalid | ErrorKind::Unsupported => {
                    Error::new(ErrorKind::Denied, error.to_string()).because(error)
                }
                _ => error,
            })
        })
    }

    fn exchange<'a>(&'a self, exchange: &'a Exchange, deadline: Duration) -> Answer<'a, Exchanged> {
        Box::pin(exchange::exchange(&self.writer, &self.key, exchange, deadline))
    }

    fn wait(&self, longest: Duration) -> Answer<'static, Woken> {
        Box::pin(exchange::wait(Arc::clone(&self.writer), Arc::clone(&self.key), longest))
    }

    fn recover<'a>(&'a self, recover: &'a Recover) -> Answer<'a, Recovered> {
        Box::pin(recover::recover(&self.writer, &self.key, recover, PATIENCE))
    }
}

impl JobStore for SqliteQueue {
    fn most_added(&self) -> usize {
        MOST_ADDED
    }

    fn add<'a>(&'a self, add: &'a Add) -> Answer<'a, Vec<Result<JobId, Refusal>>> {
        Box::pin(add::add(&self.writer, &self.key, add, PATIENCE))
    }

    fn change<'a>(&'a self, change: &'a ChangeJob) -> Answer<'a, Changed> {
        Box::pin(change::change(&self.writer, &self.key, change, PATIENCE))
    }

    fn job<'a>(&'a self, id: &'a JobId) -> Answer<'a, Option<StoredJob>> {
        let id = id.clone();
        self.look(move |file, key| read::job(file, key, &id))
    }

    fn logs<'a>(&'a self, id: &'a JobId, from: u64, count: u64) -> Answer<'a, LogPage> {
        let id = id.clone();
        self.look(move |file, key| read::logs(file, key, &id, from, count))
    }

    fn join(&self) -> Result<&dyn JoinStore, Error> {
        Ok(self)
    }
}

impl QueueStore for SqliteQueue {
    fn overview(&self) -> Answer<'_, Overview> {
        self.look(read::overview)
    }

    fn configure(&self, setting: Setting) -> Answer<'_, ()> {
        Box::pin(configure::configure(&self.writer, &self.key, setting, PATIENCE))
    }

    fn forget(&self) -> Answer<'_, bool> {
        Box::pin(configure::forget(&self.writer, &self.key, PATIENCE))
    }

    fn page<'a>(&'a self, page: &'a Page) -> Answer<'a, JobPage> {
        let page = *page;
        self.look(move |file, key| read::page(file, key, page))
    }

    fn priorities<'a>(&'a self, priorities: &'a [u32]) -> Answer<'a, Vec<u64>> {
        let priorities = priorities.to_vec();
        self.look(move |file, key| read::priorities(file, key, &priorities))
    }

    fn held(&self, most: u64) -> Answer<'_, Vec<HeldJob>> {
        self.look(move |file, key| read::held(file, key, most))
    }

    fn workers(&self) -> Answer<'_, Vec<WorkerInfo>> {
        self.look(read::workers)
    }

    fn metrics(&self, state: JobState, count: u64) -> Answer<'_, Metrics> {
        self.look(move |file, key| read::metrics(file, key, state, count))
    }
}

impl EventStore for SqliteQueue {
    fn events<'a>(&'a self, after: Option<&'a str>, most: usize, wait: Duration) -> Answer<'a, StoredEvents> {
        let Some(after) = after.map(str::to_owned) else {
            return self.look(events::end);
        };
        Box::pin(async move {
            let ends = tokio::time::Instant::now() + wait;
            let mut signals = self.writer.watch(&self.key);
            loop {
                signals.mark_unchanged();
                let behind = after.clone();
                let found = self.look(move |file, key| events::read(file, key, &behind, most.max(1))).await?;
                if !found.events.is_empty() || wait.is_zero() {
                    return Ok(found);
                }
                tokio::select! {
                    // It cannot be closed while we hold the writer.
                    _ = signals.changed() => {}
                    () = tokio::time::sleep_until(ends) => return Ok(found),
                }
            }
        })
    }
}
