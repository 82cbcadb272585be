//! A store whose answers you write, for tests of whatever works under a lock.
//!
//! ```
//! use std::time::Duration;
//! use lariat_lock::testing::{Reply, ScriptedStore};
//! use lariat_lock::{Instant, LockManager, LossReason, Verdict};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = ScriptedStore::new();
//! store.next(Reply::Fail("the store is away".into()));
//! store.give("7", Verdict::Taken);
//!
//! let locks = LockManager::builder(store.clone()).lock_duration(Duration::from_millis(200)).start()?;
//! let guard = locks.track_job("7", "token", Instant::now())?;
//!
//! // The first call fails and proves nothing; the second is answered.
//! assert_eq!(guard.lost().await, LossReason::Taken);
//! assert_eq!(store.calls().len(), 2);
//! # Ok(())
//! # }
//! ```

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Instant;
use crate::store::{BoxFuture, Claim, LockStore, StoreError, Verdict};

/// How one call is answered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Reply {
    /// Every claim is extended, save those that [`ScriptedStore::give`] names.
    Extended,
    /// These verdicts as they stand, right in number or not.
    Verdicts(Vec<Verdict>),
    /// An error with this text.
    Fail(String),
    /// Never answered.
    Hang,
    /// The call panics with this text.
    Panic(String),
    /// The reply within, after this time.
    After(Duration, Box<Reply>),
    /// The reply within, once the notification comes.
    When(Arc<Notify>, Box<Reply>),
}

/// A call as it came in.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Call {
    /// When.
    pub at: Instant,
    /// What was to be extended.
    pub claims: Vec<Claim>,
    /// For how long.
    pub lock_duration: Duration,
}

#[derive(Default)]
struct Script {
    next: VecDeque<Reply>,
    otherwise: Option<Reply>,
    verdicts: HashMap<String, Verdict>,
    calls: Vec<Call>,
    running: usize,
    most_running: usize,
}

/// A [`LockStore`] that answers by script and remembers what it was asked. A clone is another handle to the same one.
#[derive(Clone, Default)]
pub struct ScriptedStore {
    script: Arc<Mutex<Script>>,
    called: Arc<Notify>,
}

impl ScriptedStore {
    /// A store that extends everything until told otherwise.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues the reply to one call; calls take them in order.
    pub fn next(&self, reply: Reply) {
        self.script().next.push_back(reply);
    }

    /// How calls are answered that find no reply queued; [`Reply::Extended`] unless set.
    pub fn otherwise(&self, reply: Reply) {
        self.script().otherwise = Some(reply);
    }

    /// The verdict on one id from now on, under [`Reply::Extended`].
    pub fn give(&self, id: &str, verdict: Verdict) {
        self.script().verdicts.insert(id.to_owned(), verdict);
    }

    /// All calls so far, those not answered yet included.
    pub fn calls(&self) -> Vec<Call> {
        self.script().calls.clone()
    }

    /// The most calls that were unanswered at once.
    pub fn most_in_flight(&self) -> usize {
        self.script().most_running
    }

    /// Waits until `count` calls have come in, all told.
    pub async fn called(&self, count: usize) {
        loop {
            let mut called = std::pin::pin!(self.called.notified());
            called.as_mut().enable();
            if self.script().calls.len() >= count {
                return;
            }
            called.await;
        }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verdicts(&self, claims: &[Claim]) -> Vec<Verdict> {
        let script = self.script();
        claims.iter().map(|claim| script.verdicts.get(&*claim.id).copied().unwrap_or(Verdict::Extended)).collect()
    }
}

/// Counts a call as unanswered for as long as it lives.
struct Running<'a>(&'a ScriptedStore);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.script().running -= 1;
    }
}

impl LockStore for ScriptedStore {
    fn extend<'a>(
        &'a self,
        claims: &'a [Claim],
        lock_duration: Duration,
    ) -> BoxFuture<'a, Result<Vec<Verdict>, StoreError>> {
        Box::pin(async move {
            let mut reply = {
                let mut script = self.script();
                script.calls.push(Call { at: Instant::now(), claims: claims.to_vec(), lock_duration });
                script.running += 1;
                script.most_running = script.most_running.max(script.running);
                script.next.pop_front().or_else(|| script.otherwise.clone()).unwrap_or(Reply::Extended)
            };
            let _running = Running(self);
            self.called.notify_waiters();
            loop {
                reply = match reply {
                    Reply::Extended => return Ok(self.verdicts(claims)),
                    Reply::Verdicts(verdicts) => return Ok(verdicts),
                    Reply::Fail(text) => return Err(StoreError::new(text)),
                    Reply::Hang => std::future::pending().await,
                    Reply::Panic(text) => std::panic::resume_unwind(Box::new(text)),
                    Reply::After(pause, then) => {
                        tokio::time::sleep(pause).await;
                        *then
                    }
                    Reply::When(gate, then) => {
                        gate.notified().await;
                        *then
                    }
                };
            }
        })
    }
}

impl fmt::Debug for ScriptedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedStore").field("calls", &self.script().calls.len()).finish_non_exhaustive()
    }
}
