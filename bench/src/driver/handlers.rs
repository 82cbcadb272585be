//! What the jobs do, the same for every library: chosen by the job's name.

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::serve::now_us;
use crate::protocol::Seen;

/// The data of every job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JobData {
    /// Wall time in microseconds just before the add was sent; 0 where nobody asks.
    pub(crate) t: u64,
    /// A number, so that no two jobs need be equal.
    user: usize,
    /// What a small real payload looks like.
    to: String,
    /// For `block`: how long.
    ms: u64,
}

impl JobData {
    pub(crate) fn plain(user: usize, ms: u64) -> Self {
        Self { t: 0, user, to: "someone@example.com".into(), ms }
    }
}

/// The handlers and what they have seen.
pub(crate) struct Handlers {
    threads: usize,
    finished: AtomicU64,
    /// `wait_finished` waits for this many; the handler that reaches it wakes it, the others pay one load.
    target: AtomicU64,
    reached: (Mutex<()>, Condvar),
    start_us: Mutex<Vec<u64>>,
    told_lost: AtomicU64,
    standstill_ms: AtomicU64,
    blocking: AtomicUsize,
}

impl Handlers {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            threads,
            finished: AtomicU64::new(0),
            target: AtomicU64::new(u64::MAX),
            reached: (Mutex::new(()), Condvar::new()),
            start_us: Mutex::new(Vec::new()),
            told_lost: AtomicU64::new(0),
            standstill_ms: AtomicU64::new(0),
            blocking: AtomicUsize::new(0),
        }
    }

    /// Runs one job. `data` is only called by the jobs that look at their data; `lost` ends when the library cancels the
    /// job. Answers what the job returns.
    pub(crate) async fn run(&self, name: &str, data: impl FnOnce() -> JobData, lost: impl Future<Output = ()>) -> u64 {
        let result = match name {
            "echo" => data().t,
            "quick" => {
                let waited = now_us().saturating_sub(data().t);
                lock(&self.start_us).push(waited);
                0
            }
            "hold" => {
                lost.await;
                self.note_lost(1);
                std::future::pending().await
            }
            "block" => {
                self.block(Duration::from_millis(data().ms));
                0
            }
            _ => 0,
        };
        self.finish();
        result
    }

    /// Blocks this thread, once as many jobs as the runtime has threads are here.
    fn block(&self, long: Duration) {
        self.blocking.fetch_add(1, SeqCst);
        let patience = Instant::now() + Duration::from_secs(2);
        while self.blocking.load(SeqCst) < self.threads && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(long);
    }

    fn finish(&self) {
        if self.finished.fetch_add(1, SeqCst) + 1 == self.target.load(SeqCst) {
            let _held = lock(&self.reached.0);
            self.reached.1.notify_all();
        }
    }

    pub(crate) fn wait_finished(&self, count: u64) {
        self.target.store(count, SeqCst);
        let mut held = lock(&self.reached.0);
        while self.finished.load(SeqCst) < count {
            held = self.reached.1.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        self.target.store(u64::MAX, SeqCst);
    }

    pub(crate) fn note_lost(&self, jobs: u64) {
        self.told_lost.fetch_add(jobs, SeqCst);
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen {
            start_us: lock(&self.start_us).clone(),
            told_lost: self.told_lost.load(SeqCst),
            standstill_ms: self.standstill_ms.load(SeqCst),
        }
    }

    pub(crate) fn forget(&self) {
        self.finished.store(0, SeqCst);
        lock(&self.start_us).clear();
        self.told_lost.store(0, SeqCst);
        self.standstill_ms.store(0, SeqCst);
    }

    /// Notes the longest time this task was not polled though it was due.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut last = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let gap = u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.standstill_ms.fetch_max(gap, SeqCst);
            last = Instant::now();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
