//! BullMQ's layout on a Redis or Valkey server.
//!
//! One file per thing that is asked of the store; each calls one script of `lua/`. What may not be in this folder:
//! anything that knows a handler, a slot or a retry decision.

mod add;
#[cfg(test)]
mod agreement;
mod args;
mod change;
mod codec;
mod configure;
mod connect;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod damage;
mod events;
mod exchange;
mod holders;
mod keys;
mod locks;
mod lua;
mod page;
mod preflight;
mod queues;
mod read;
mod recover;
mod reply;
mod script;

use std::sync::Arc;
use std::time::Duration;

use lariat_lock::LockStore;

use self::connect::{Link, Purpose};
use self::events::RedisEvents;
use self::keys::Keys;
use self::locks::RedisLocks;
use super::change::{Add, ChangeJob, Changed, Setting};
use super::exchange::{Exchange, Exchanged, Recover, Recovered, Woken};
use super::url::Address;
use super::view::{HeldJob, JobPage, LogPage, Metrics, Overview, Page, WorkerInfo};
use super::{Answer, Backend, Capabilities, EventStore, JobStore, Outlives, QueueBackend, QueueStore, WorkStore};
use crate::error::{Error, Refusal};
use crate::id::{JobId, Prefix, QueueName};
use crate::job::{JobState, StoredJob};

/// How long a call waits for its answer where its caller does not say.
const PATIENCE: Duration = Duration::from_secs(5);

/// One server, with a connection for commands and one for locks; both are made when they are first used.
pub(super) struct RedisStore {
    address: Address,
    commands: Link,
    /// Used on the lock thread only, so that its connection lives there.
    locks: Link,
}

impl RedisStore {
    pub(super) fn new(address: Address) -> RedisStore {
        RedisStore {
            commands: Link::new(address.clone(), Purpose::Commands, None),
            locks: Link::new(address.clone(), Purpose::Locks, None),
            address,
        }
    }
}

impl Backend for RedisStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            transactions: false,
            processes: true,
            machines: true,
            bullmq: true,
            outlives: Outlives::AsTheServerIsSet,
        }
    }

    fn queue(&self, prefix: &Prefix, queue: &QueueName, worker: Option<&str>) -> Result<Arc<dyn QueueBackend>, Error> {
        let keys = Keys::new(prefix, queue);
        let waiting = Link::new(self.address.clone(), Purpose::Waiting, Some(keys.client_name(worker)));
        let name = (prefix.clone(), queue.clone());
        Ok(Arc::new(RedisQueue { name, keys, commands: self.commands.clone(), waiting }))
    }

    fn locks(&self, prefix: &Prefix, queue: &QueueName) -> Result<Arc<dyn LockStore>, Error> {
        Ok(Arc::new(RedisLocks::new(self.locks.clone(), Keys::new(prefix, queue))))
    }

    fn events(&self, prefix: &Prefix, queue: &QueueName) -> Result<Arc<dyn EventStore>, Error> {
        Ok(Arc::new(RedisEvents::new(self.address.clone(), &Keys::new(prefix, queue))))
    }

    fn queues<'a>(&'a self, prefix: &'a Prefix) -> Answer<'a, Vec<QueueName>> {
        Box::pin(queues::queues(&self.commands, prefix, PATIENCE))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async {
            self.commands.call(&redis::cmd("PING"), PATIENCE).await?;
            Ok(())
        })
    }
}

/// One queue on one server.
struct RedisQueue {
    name: (Prefix, QueueName),
    keys: Keys,
    commands: Link,
    /// The connection that waits for the marker; made by the first wait.
    waiting: Link,
}

impl WorkStore for RedisQueue {
    fn preflight(&self) -> Answer<'_, ()> {
        let (prefix, queue) = &self.name;
        Box::pin(preflight::preflight(&self.commands, prefix, queue, PATIENCE))
    }

    fn exchange<'a>(&'a self, exchange: &'a Exchange, deadline: Duration) -> Answer<'a, Exchanged> {
        Box::pin(exchange::exchange(&self.commands, &self.keys, exchange, deadline))
    }

    fn wait(&self, longest: Duration) -> Answer<'static, Woken> {
        let command = exchange::wait_command(&self.keys, longest);
        let waiting = self.waiting.clone();
        Box::pin(async move { exchange::woken(&waiting.block(&command, longest).await?) })
    }

    fn recover<'a>(&'a self, recover: &'a Recover) -> Answer<'a, Recovered> {
        Box::pin(recover::recover(&self.commands, &self.keys, recover, PATIENCE))
    }
}

impl JobStore for RedisQueue {
    fn add<'a>(&'a self, add: &'a Add) -> Answer<'a, Vec<Result<JobId, Refusal>>> {
        Box::pin(add::add(&self.commands, &self.keys, add, PATIENCE))
    }

    fn change<'a>(&'a self, change: &'a ChangeJob) -> Answer<'a, Changed> {
        Box::pin(change::change(&self.commands, &self.keys, change, PATIENCE))
    }

    fn job<'a>(&'a self, id: &'a JobId) -> Answer<'a, Option<StoredJob>> {
        Box::pin(read::job(&self.commands, &self.keys, id, PATIENCE))
    }

    fn logs<'a>(&'a self, id: &'a JobId, from: u64, count: u64) -> Answer<'a, LogPage> {
        Box::pin(read::logs(&self.commands, &self.keys, id, from, count, PATIENCE))
    }
}

impl QueueStore for RedisQueue {
    fn overview(&self) -> Answer<'_, Overview> {
        Box::pin(read::overview(&self.commands, &self.keys, PATIENCE))
    }

    fn configure(&self, setting: Setting) -> Answer<'_, ()> {
        Box::pin(configure::configure(&self.commands, &self.keys, setting, PATIENCE))
    }

    fn forget(&self) -> Answer<'_, bool> {
        Box::pin(configure::forget(&self.commands, &self.keys, PATIENCE))
    }

    fn page<'a>(&'a self, page: &'a Page) -> Answer<'a, JobPage> {
        Box::pin(page::page(&self.commands, &self.keys, page, PATIENCE))
    }

    fn priorities<'a>(&'a self, priorities: &'a [u32]) -> Answer<'a, Vec<u64>> {
        Box::pin(read::priorities(&self.commands, &self.keys, priorities, PATIENCE))
    }

    fn held(&self, most: u64) -> Answer<'_, Vec<HeldJob>> {
        Box::pin(holders::held(&self.commands, &self.keys, most, PATIENCE))
    }

    fn workers(&self) -> Answer<'_, Vec<WorkerInfo>> {
        Box::pin(holders::workers(&self.commands, &self.keys, PATIENCE))
    }

    fn metrics(&self, state: JobState, count: u64) -> Answer<'_, Metrics> {
        Box::pin(read::metrics(&self.commands, &self.keys, state, count, PATIENCE))
    }
}
