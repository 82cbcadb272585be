//! What a manager tells: typed events, over queues that never make it wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use crate::table::Lost;

/// Notices a queue holds before the oldest goes. A notice is one call's worth of claims.
const CAPACITY: usize = 1024;

/// Something a lock manager did or met.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LockEvent {
    /// A call renewed these claims.
    #[non_exhaustive]
    Renewed {
        /// What is locked for another lock duration.
        ids: Arc<[Arc<str>]>,
        /// How long the call took.
        latency: Duration,
        /// The smallest trust left among them when the call was sent; none if all were settling.
        trust_left: Option<Duration>,
    },
    /// A claim is no longer ours. Its guard knows already.
    Lost(Lost),
    /// A call brought no answer. Its claims are tried again while trust lasts.
    #[non_exhaustive]
    CallFailed {
        /// How many claims the call carried.
        claims: usize,
        /// What the store said, or that it said nothing in time.
        error: Arc<str>,
        /// Whether its deadline passed without an answer.
        timed_out: bool,
        /// How long the call took.
        latency: Duration,
        /// When the first of its claims is tried again.
        retry_in: Duration,
    },
    /// The driver panicked and was started again from the kept table.
    #[non_exhaustive]
    Restarted {
        /// How often that has happened to this manager.
        restarts: u64,
        /// What the panic said.
        panic: Arc<str>,
    },
}

/// What travels in a queue: losses of one call stay together, for callbacks that want them so.
#[derive(Debug, Clone)]
pub(crate) enum Notice {
    Event(LockEvent),
    Lost(Arc<[Lost]>),
}

impl Notice {
    fn events(&self) -> u64 {
        match self {
            Self::Event(_) => 1,
            Self::Lost(all) => all.len() as u64,
        }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    notices: VecDeque<Notice>,
    closed: bool,
}

/// One listener's bounded queue. Full: the oldest goes, counted.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    dropped: AtomicU64,
    wants_renewed: bool,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.waiting().closed = true;
        self.arrived.notify_one();
    }

    /// Adds a notice; says how many events had to go for it.
    fn push(&self, notice: Notice) -> u64 {
        let mut waiting = self.waiting();
        let oldest = if waiting.notices.len() < CAPACITY { None } else { waiting.notices.pop_front() };
        waiting.notices.push_back(notice);
        drop(waiting);
        self.arrived.notify_one();
        let gone = oldest.map_or(0, |notice| notice.events());
        self.dropped.fetch_add(gone, Ordering::Relaxed);
        gone
    }

    /// The next notice; none once the manager has ended and all is read. Cancel safe, for one reader.
    pub(crate) async fn next(&self) -> Option<Notice> {
        loop {
            {
                let mut waiting = self.waiting();
                if let Some(notice) = waiting.notices.pop_front() {
                    return Some(notice);
                }
                if waiting.closed {
                    return None;
                }
            }
            // One reader only, so a permit stored between the look and this wait is not taken by another.
            self.arrived.notified().await;
        }
    }
}

/// The listeners of one manager.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    queues: Mutex<(Vec<Weak<Queue>>, bool)>,
    dropped: AtomicU64,
}

impl Hub {
    pub(crate) fn subscribe(&self, wants_renewed: bool) -> Arc<Queue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = Mutex::new(Waiting { notices: VecDeque::new(), closed: queues.1 });
        let queue = Arc::new(Queue { waiting, arrived: Notify::new(), dropped: AtomicU64::new(0), wants_renewed });
        queues.0.push(Arc::downgrade(&queue));
        queue
    }

    /// Whether building a renewal notice is worth it: most managers have nobody who listens.
    pub(crate) fn wants_renewed(&self) -> bool {
        self.listeners().iter().any(|queue| queue.wants_renewed)
    }

    pub(crate) fn send(&self, notice: &Notice) {
        let renewed = matches!(notice, Notice::Event(LockEvent::Renewed { .. }));
        for queue in self.listeners() {
            if queue.wants_renewed || !renewed {
                self.dropped.fetch_add(queue.push(notice.clone()), Ordering::Relaxed);
            }
        }
    }

    /// No notice will come after this; readers end when they have read what is there.
    pub(crate) fn close(&self) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.1 = true;
        for queue in queues.0.drain(..).filter_map(|queue| queue.upgrade()) {
            queue.close();
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The living listeners, out of the lock: pushing wakes them, and a waker may do as it likes.
    fn listeners(&self) -> Vec<Arc<Queue>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let mut living = Vec::with_capacity(queues.0.len());
        queues.0.retain(|queue| queue.upgrade().map(|queue| living.push(queue)).is_some());
        living
    }
}

/// Receives the events of a manager, from [`LockManager::events`](crate::LockManager::events).
///
/// Bounded: a reader that falls 1,024 calls behind loses the oldest, and [`dropped`](Self::dropped) counts them. The
/// manager never waits for a reader.
#[derive(Debug)]
pub struct LockEvents {
    queue: Arc<Queue>,
    losses: VecDeque<Lost>,
}

impl LockEvents {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, losses: VecDeque::new() }
    }

    /// The next event; `None` once the manager has ended and everything is read. Cancel safe.
    pub async fn recv(&mut self) -> Option<LockEvent> {
        loop {
            if let Some(lost) = self.losses.pop_front() {
                return Some(LockEvent::Lost(lost));
            }
            match self.queue.next().await? {
                Notice::Event(event) => return Some(event),
                Notice::Lost(all) => self.losses.extend(all.iter().cloned()),
            }
        }
    }

    /// How many events this reader missed by being slow.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restarted(restarts: u64) -> Notice {
        Notice::Event(LockEvent::Restarted { restarts, panic: "why".into() })
    }

    #[tokio::test]
    async fn a_full_queue_loses_the_oldest_and_counts() {
        let hub = Hub::default();
        let mut slow = LockEvents::new(hub.subscribe(true));
        for number in 0..CAPACITY as u64 + 3 {
            hub.send(&restarted(number));
        }
        assert_eq!((slow.dropped(), hub.dropped()), (3, 3));
        assert!(matches!(slow.recv().await, Some(LockEvent::Restarted { restarts: 3, .. })));
    }

    #[tokio::test]
    async fn a_closed_hub_lets_readers_finish() {
        let hub = Hub::default();
        let mut reader = LockEvents::new(hub.subscribe(false));
        hub.send(&restarted(1));
        hub.close();
        assert!(reader.recv().await.is_some());
        assert!(reader.recv().await.is_none());
        assert!(LockEvents::new(hub.subscribe(false)).recv().await.is_none());
    }

    #[tokio::test]
    async fn renewals_are_for_those_who_want_them_and_the_dead_want_nothing() {
        let hub = Hub::default();
        let _losses_only = hub.subscribe(false);
        assert!(!hub.wants_renewed());
        let all = hub.subscribe(true);
        assert!(hub.wants_renewed());
        drop(all);
        assert!(!hub.wants_renewed());
    }
}
