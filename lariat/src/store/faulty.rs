//! A store whose calls of one kind go wrong now and then, the first one first: refused, answered late, or carried out with the
//! reply lost. What is above the seam repeats them, and nobody is to notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lariat_lock::{BoxFuture, Claim, LockStore, StoreError, Verdict};

use super::change::{Add, ChangeJob, Changed, Setting};
use super::exchange::{Exchange, Exchanged, Recover, Recovered, Woken};
use super::view::{HeldJob, JobPage, LogPage, Metrics, Overview, Page, WorkerInfo};
use super::{
    Answer, Backend, Capabilities, EventStore, JobStore, JoinStore, QueueBackend, QueueStore, Store, WorkStore,
};
use crate::error::{Error, ErrorKind, Refusal};
use crate::id::{JobId, Prefix, QueueName};
use crate::job::{JobState, StoredJob};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call does not reach the store.
    Refuse,
    /// The answer comes late.
    Delay,
    /// The call is carried out, and nobody hears of it.
    LoseReply,
}

impl Fault {
    pub(crate) const ALL: [Fault; 3] = [Fault::Refuse, Fault::Delay, Fault::LoseReply];
}

/// Which calls it goes wrong with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Exchange,
    Add,
    Change,
    Recover,
    Configure,
    Extend,
}

/// The faults of one store. The first call of the kind goes wrong, two go well, and so on: a search of two slices, begun
/// anew after each fault, comes to its end.
pub(crate) struct Faults {
    call: Call,
    fault: Fault,
    sent: AtomicUsize,
}

impl Faults {
    /// How many calls have been sent, those that went wrong and those that went well.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    async fn around<T>(&self, call: Call, send: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        if call != self.call || !self.sent.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
            return send.await;
        }
        match self.fault {
            Fault::Refuse => Err(Error::new(ErrorKind::Unreachable, "refused, as the test wants it")),
            Fault::Delay => {
                let answer = send.await;
                // sleep: the answer is late
                tokio::time::sleep(Duration::from_millis(40)).await;
                answer
            }
            Fault::LoseReply => {
                send.await?;
                Err(Error::new(ErrorKind::Unknown, "its reply is lost, as the test wants it"))
            }
        }
    }
}

impl Store {
    /// The same store, where calls of this kind go wrong.
    pub(crate) fn with_faults(&self, call: Call, fault: Fault) -> (Store, Arc<Faults>) {
        let faults = Arc::new(Faults { call, fault, sent: AtomicUsize::new(0) });
        let backend = Arc::new(Faulty { inner: Arc::clone(&self.backend), faults: Arc::clone(&faults) });
        (Store { backend, ..self.clone() }, faults)
    }
}

struct Faulty<T: ?Sized> {
    inner: Arc<T>,
    faults: Arc<Faults>,
}

impl<T: ?Sized> Faulty<T> {
    fn with<U: ?Sized>(&self, inner: Arc<U>) -> Arc<Faulty<U>> {
        Arc::new(Faulty { inner, faults: Arc::clone(&self.faults) })
    }
}

impl Backend for Faulty<dyn Backend> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn queue(&self, prefix: &Prefix, queue: &QueueName, worker: Option<&str>) -> Result<Arc<dyn QueueBackend>, Error> {
        Ok(self.with(self.inner.queue(prefix, queue, worker)?))
    }

    fn locks(&self, prefix: &Prefix, queue: &QueueName) -> Result<Arc<dyn LockStore>, Error> {
        Ok(self.with(self.inner.locks(prefix, queue)?))
    }

    fn events(&self, prefix: &Prefix, queue: &QueueName) -> Result<Arc<dyn EventStore>, Error> {
        self.inner.events(prefix, queue)
    }

    fn queues<'a>(&'a self, prefix: &'a Prefix) -> Answer<'a, Vec<QueueName>> {
        self.inner.queues(prefix)
    }

    fn ping(&self) -> Answer<'_, ()> {
        self.inner.ping()
    }
}

impl WorkStore for Faulty<dyn QueueBackend> {
    fn preflight(&self) -> Answer<'_, ()> {
        self.inner.preflight()
    }

    fn exchange<'a>(&'a self, exchange: &'a Exchange, deadline: Duration) -> Answer<'a, Exchanged> {
        Box::pin(self.faults.around(Call::Exchange, self.inner.exchange(exchange, deadline)))
    }

    fn wait(&self, longest: Duration) -> Answer<'static, Woken> {
        self.inner.wait(longest)
    }

    fn recover<'a>(&'a self, recover: &'a Recover) -> Answer<'a, Recovered> {
        Box::pin(self.faults.around(Call::Recover, self.inner.recover(recover)))
    }
}

impl JobStore for Faulty<dyn QueueBackend> {
    fn most_added(&self) -> usize {
        self.inner.most_added()
    }

    fn add<'a>(&'a self, add: &'a Add) -> Answer<'a, Vec<Result<JobId, Refusal>>> {
        Box::pin(self.faults.around(Call::Add, self.inner.add(add)))
    }

    fn change<'a>(&'a self, change: &'a ChangeJob) -> Answer<'a, Changed> {
        Box::pin(self.faults.around(Call::Change, self.inner.change(change)))
    }

    fn job<'a>(&'a self, id: &'a JobId) -> Answer<'a, Option<StoredJob>> {
        self.inner.job(id)
    }

    fn logs<'a>(&'a self, id: &'a JobId, from: u64, count: u64) -> Answer<'a, LogPage> {
        self.inner.logs(id, from, count)
    }

    fn join(&self) -> Result<&dyn JoinStore, Error> {
        self.inner.join()
    }
}

impl QueueStore for Faulty<dyn QueueBackend> {
    fn overview(&self) -> Answer<'_, Overview> {
        self.inner.overview()
    }

    fn configure(&self, setting: Setting) -> Answer<'_, ()> {
        Box::pin(self.faults.around(Call::Configure, self.inner.configure(setting)))
    }

    fn forget(&self) -> Answer<'_, bool> {
        self.inner.forget()
    }

    fn page<'a>(&'a self, page: &'a Page) -> Answer<'a, JobPage> {
        self.inner.page(page)
    }

    fn priorities<'a>(&'a self, priorities: &'a [u32]) -> Answer<'a, Vec<u64>> {
        self.inner.priorities(priorities)
    }

    fn held(&self, most: u64) -> Answer<'_, Vec<HeldJob>> {
        self.inner.held(most)
    }

    fn workers(&self) -> Answer<'_, Vec<WorkerInfo>> {
        self.inner.workers()
    }

    fn metrics(&self, state: JobState, count: u64) -> Answer<'_, Metrics> {
        self.inner.metrics(state, count)
    }
}

impl LockStore for Faulty<dyn LockStore> {
    fn extend<'a>(
        &'a self,
        claims: &'a [Claim],
        lock_duration: Duration,
    ) -> BoxFuture<'a, Result<Vec<Verdict>, StoreError>> {
        Box::pin(async move {
            let words = |error: StoreError| Error::new(ErrorKind::Store, error.to_string());
            let send = async { self.inner.extend(claims, lock_duration).await.map_err(words) };
            self.faults.around(Call::Extend, send).await.map_err(StoreError::new)
        })
    }
}
