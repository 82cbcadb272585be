//! Callbacks and log lines, on the program's own runtime: neither may hold up the lock thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Instant;
use crate::event::{LockEvent, Notice, Queue};
use crate::table::Lost;

pub(crate) type OnLost = Box<dyn Fn(&[Lost]) + Send + Sync>;
pub(crate) type OnRenewed = Box<dyn Fn(&[Arc<str>]) + Send + Sync>;

/// Failed calls are logged loudly once in this time; a store that is away fails many.
const LOUD_EVERY: Duration = Duration::from_secs(10);

/// What the builder was given.
#[derive(Default)]
pub(crate) struct Callbacks {
    pub(crate) lost: Option<OnLost>,
    pub(crate) renewed: Option<OnRenewed>,
}

/// Reads one queue until the manager has ended.
pub(crate) async fn relay(queue: Arc<Queue>, callbacks: Callbacks) {
    let mut loud_from = Instant::from_nanos(0);
    while let Some(notice) = queue.next().await {
        match &notice {
            Notice::Lost(losses) => {
                for lost in losses.iter() {
                    tracing::warn!(id = %lost.id, generation = lost.generation, age = ?lost.age, "{}", lost.reason);
                }
                call("on_lock_renewal_failed", callbacks.lost.as_deref().map(|callback| || callback(losses)));
            }
            Notice::Event(LockEvent::Renewed { ids, .. }) => {
                call("on_locks_renewed", callbacks.renewed.as_deref().map(|callback| || callback(ids)));
            }
            Notice::Event(LockEvent::CallFailed { claims, error, retry_in, .. }) => {
                let now = Instant::now();
                if loud_from <= now {
                    loud_from = now + LOUD_EVERY;
                    tracing::warn!(claims, %error, ?retry_in, "locks not renewed, trying again while trust lasts");
                } else {
                    tracing::debug!(claims, %error, ?retry_in, "locks not renewed");
                }
            }
            Notice::Event(LockEvent::Restarted { restarts, panic }) => {
                tracing::error!(restarts, %panic, "the lock driver panicked and was started again");
            }
            Notice::Event(LockEvent::Lost(_)) => {}
        }
    }
}

/// A callback that panics has had its turn; the next notice gets its own.
fn call(name: &str, callback: Option<impl FnOnce()>) {
    if let Some(callback) = callback
        && catch_unwind(AssertUnwindSafe(callback)).is_err()
    {
        tracing::error!("{name} panicked");
    }
}
