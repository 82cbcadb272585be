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
const CALLS_EVERY: Duration = Duration::from_secs(10);
/// All else, once in this.
const EVERY: Duration = Duration::from_secs(1);

/// One sort of line, said at most once in a time.
#[derive(Debug, Default)]
struct Loud {
    from: Option<Instant>,
    unsaid: u64,
}

impl Loud {
    /// Whether to say a line that stands for `count` things; if so, how many were not said since the last.
    fn may_say(&mut self, count: usize, every: Duration, now: Instant) -> Option<u64> {
        if self.from.is_some_and(|from| now < from) {
            self.unsaid += count as u64;
            return None;
        }
        self.from = Some(now + every);
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// What the builder was given.
#[derive(Default)]
pub(crate) struct Callbacks {
    pub(crate) lost: Option<OnLost>,
    pub(crate) renewed: Option<OnRenewed>,
}

/// Reads one queue until the manager has ended.
pub(crate) async fn relay(queue: Arc<Queue>, callbacks: Callbacks) {
    let (mut lost, mut failed, mut restarted, mut panicked) =
        (Loud::default(), Loud::default(), Loud::default(), Loud::default());
    while let Some(notice) = queue.next().await {
        let now = Instant::now();
        let fine = match &notice {
            Notice::Lost(losses) => {
                if let (Some(first), Some(unsaid)) = (losses.first(), lost.may_say(losses.len(), EVERY, now)) {
                    let (id, age, claims) = (&first.id, first.age, losses.len());
                    tracing::warn!(%id, ?age, claims, unsaid, "lost locks, this one among them: {}", first.reason);
                }
                call(callbacks.lost.as_deref().map(|callback| || callback(losses)))
            }
            Notice::Event(LockEvent::Renewed { ids, .. }) => {
                call(callbacks.renewed.as_deref().map(|callback| || callback(ids)))
            }
            Notice::Event(LockEvent::CallFailed { claims, error, retry_in, .. }) => {
                if let Some(unsaid) = failed.may_say(1, CALLS_EVERY, now) {
                    let words = "locks not renewed, trying again while trust lasts";
                    tracing::warn!(claims, %error, ?retry_in, unsaid, "{words}");
                } else {
                    tracing::debug!(claims, %error, ?retry_in, "locks not renewed");
                }
                true
            }
            Notice::Event(LockEvent::Restarted { restarts, panic }) => {
                if let Some(unsaid) = restarted.may_say(1, EVERY, now) {
                    tracing::error!(restarts, %panic, unsaid, "the lock driver panicked and was started again");
                }
                true
            }
            Notice::Event(LockEvent::Lost(_)) => true,
        };
        if !fine && let Some(unsaid) = panicked.may_say(1, EVERY, now) {
            tracing::error!(unsaid, "a callback panicked");
        }
    }
}

/// A callback that panics has had its turn; the next notice gets its own. False where it panicked.
fn call(callback: Option<impl FnOnce()>) -> bool {
    callback.is_none_or(|callback| catch_unwind(AssertUnwindSafe(callback)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_once_in_its_time_and_says_how_many_were_not() {
        let mut loud = Loud::default();
        let mut at = |count, ms: u64| loud.may_say(count, EVERY, Instant::from_nanos(ms * 1_000_000));
        assert_eq!(at(500, 0), Some(0));
        assert_eq!((at(500, 0), at(3, 999)), (None, None));
        assert_eq!(at(1, 1000), Some(503));
        assert_eq!(at(1, 1999), None);
        assert_eq!(at(1, 9000), Some(1));
    }
}
