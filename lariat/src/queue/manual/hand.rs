//! The hand that takes: one lane, one call in flight, and what comes back made sense of.
//!
//! Calls run in tasks of their own and are always brought to their end, so that whoever asked may stop waiting at any time:
//! what came for nobody goes back.

use std::sync::Arc;
use std::time::Duration;

use lariat_lock::{LockManager, Terms};
use tokio::runtime::Handle as Runtime;
use tokio::sync::{Mutex, OnceCell, oneshot};
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use super::taken::TakenJob;
use crate::error::{Error, ErrorKind};
use crate::id::QueueName;
use crate::job::{Held, Job};
use crate::store::exchange::{
    Exchange, Failure, Hint, Lease as LeaseTerms, RateLimit, Settle, Taken, Transition, Woken,
};
use crate::worker::{Answered, EndTerms, Grant, Hold, Lane, Lease, Limits, StoreCalls, failed, tell};

/// How long those who ask wait for a store that does not answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Ten years: for ever, and still an instant that can be computed.
pub(super) const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// The longest wait for the marker before jobs are looked for again, and where the next due time is known.
const IDLE: Duration = Duration::from_secs(5);
const IDLE_DUE: Duration = Duration::from_secs(10);

/// What clones of a [`Manual`](super::Manual), and the jobs taken by them, share.
pub(super) struct Hand {
    pub queue: QueueName,
    pub calls: StoreCalls,
    /// None: nobody renews.
    pub locks: Option<LockManager>,
    pub terms: Terms,
    pub limits: Limits,
    pub limiter: Option<RateLimit>,
    pub name: Option<Arc<str>>,
    pub runtime: Runtime,
    /// Held during a call.
    pub calling: Mutex<Calling>,
    /// Held during a wait for the marker: there is one connection for it.
    pub waiting: Mutex<()>,
    /// Set once the store was found to let us do this.
    pub allowed: OnceCell<()>,
    pub _stop: DropGuard,
}

/// Where the lane is, and the number of the next job's token.
pub(super) struct Calling {
    lane: Lane,
    first: u64,
}

impl Calling {
    pub(super) fn new() -> Calling {
        Calling { lane: Lane::new(), first: 1 }
    }
}

type Answer = oneshot::Sender<Result<Option<TakenJob>, Error>>;

/// Takes a job in a task of its own, and waits for it.
pub(super) async fn take(hand: &Arc<Hand>, until: Instant) -> Result<Option<TakenJob>, Error> {
    let (answer, taken) = oneshot::channel();
    hand.runtime.spawn(taking(Arc::clone(hand), until, answer));
    match tokio::time::timeout_at(until + PATIENCE, taken).await {
        Ok(Ok(taken)) => taken,
        Ok(Err(_)) => Err(Error::new(ErrorKind::Closed, "the runtime that takes jobs has ended")),
        Err(_) => Err(hand.silent()),
    }
}

async fn taking(hand: Arc<Hand>, until: Instant, mut answer: Answer) {
    let preflight = hand.allowed.get_or_try_init(|| hand.calls.preflight()).await;
    if let Err(error) = preflight.map(drop) {
        return drop(answer.send(Err(error)));
    }
    while !answer.is_closed() {
        let Some(answered) = hand.exchange(Vec::new(), 1, false).await else { return };
        let hint = match hand.received(answered).await {
            // When nobody waits for it any more, dropping it puts it back.
            Ok(Received::Job(job)) => return drop(answer.send(Ok(Some(job)))),
            Ok(Received::Nothing(hint)) => hint,
            Err(error) => return drop(answer.send(Err(error))),
        };
        if Instant::now() >= until {
            return drop(answer.send(Ok(None)));
        }
        hand.wait(hint, until, &mut answer).await;
    }
}

/// What came of a call that wanted a job.
pub(crate) enum Received {
    Job(TakenJob),
    /// None, and what to do next.
    Nothing(Hint),
}

/// What came of one job that a call brought.
enum Brought {
    ToRun(TakenJob),
    /// It was not to be handed out: there may be another.
    Settled,
}

impl Hand {
    /// One call; None where the store has not answered for so long that no lock can be left.
    pub(super) async fn exchange(&self, outcomes: Vec<Settle>, want: usize, wake_another: bool) -> Option<Answered> {
        let mut calling = self.calling.lock().await;
        let first = calling.first;
        calling.first += want as u64;
        let exchange = Exchange {
            call: calling.lane.next(),
            now: self.calls.now(),
            outcomes,
            want,
            lease: LeaseTerms { first, lock_duration: self.terms.lock_duration(), worker: self.name.clone() },
            limiter: self.limiter,
            metrics: None,
            wake_another,
        };
        let longest = self.terms.lock_duration() + PATIENCE;
        tokio::time::timeout(longest, self.calls.clone().exchange(exchange)).await.ok()
    }

    /// The job that a call brought. Where that is not to be handed out, the next one that is.
    pub(super) async fn received(self: &Arc<Self>, mut answered: Answered) -> Result<Received, Error> {
        loop {
            let Answered { reply, sent } = answered;
            for dropped in &reply.dropped {
                tell::dropped(self.queue.as_str(), dropped);
            }
            let Some(taken) = reply.jobs.into_iter().next() else { return Ok(Received::Nothing(reply.hint)) };
            if let Brought::ToRun(job) = self.brought(taken, sent).await? {
                return Ok(Received::Job(job));
            }
            let Some(again) = self.exchange(Vec::new(), 1, false).await else {
                return Ok(Received::Nothing(Hint::Again));
            };
            answered = again;
        }
    }

    async fn brought(self: &Arc<Self>, taken: Taken, sent: lariat_lock::Instant) -> Result<Brought, Error> {
        let Taken { id, token, record } = taken;
        let settle = |to| Settle { id: id.clone(), token: Arc::clone(&token), to };
        let record = match record {
            Ok(record) => *record,
            Err(problem) => {
                let failure = Failure { stacktrace: vec![problem.clone()], reason: problem };
                let to = Transition::Fail { failure, keep: self.limits.remove_on_fail, attempts: 1 };
                self.exchange(vec![settle(to)], 0, false).await;
                return Ok(Brought::Settled);
            }
        };
        if let Some(scheduler) = &record.scheduler {
            let words = format!(
                "the job belongs to job scheduler {scheduler:?}, which this version cannot continue; it was put back"
            );
            self.exchange(vec![settle(Transition::PutBack)], 0, true).await;
            return Err(Error::new(ErrorKind::Unsupported, words).for_job(&id));
        }
        if let Some(reason) = record.deferred_failure.clone() {
            let to = failed(reason, &record, &self.limits);
            self.exchange(vec![settle(to)], 0, false).await;
            return Ok(Brought::Settled);
        }
        let hold = match &self.locks {
            None => Hold::Lent { until: sent + self.terms.trust_window() },
            Some(locks) => match locks.track_job(id.shared(), Arc::clone(&token), sent) {
                Ok(guard) => Hold::Renewed(guard),
                Err(error) => {
                    self.exchange(vec![settle(Transition::PutBack)], 0, true).await;
                    let words = format!("the job's lock cannot be renewed ({error}); it was put back");
                    return Err(Error::new(ErrorKind::Closed, words).for_job(&id));
                }
            },
        };
        let run = token.rsplit_once(':').and_then(|(_, run)| run.parse().ok()).unwrap_or_default();
        let grant = Grant {
            run,
            id,
            name: record.name.clone(),
            attempt: record.attempts_made.saturating_add(1),
            keep_logs: record.options.keep_logs,
            token,
            hold,
            ends: EndTerms { keep: self.limits.remove_on_complete, metrics: None },
            locks: self.locks.clone(),
        };
        let lease = Arc::new(Lease::new(grant, &self.calls));
        let job = Job::new(self.queue.as_str().into(), record, Arc::clone(&lease) as Arc<dyn Held>);
        Ok(Brought::ToRun(TakenJob::new(job, lease, Arc::clone(self))))
    }

    /// Waits until there may be a job, or nobody wants one any more.
    async fn wait(&self, hint: Hint, until: Instant, answer: &mut Answer) {
        let longest = match hint {
            Hint::Again => return,
            Hint::LimitedFor(time) => {
                tokio::select! {
                    () = tokio::time::sleep_until(until.min(Instant::now() + time)) => {}
                    () = answer.closed() => {}
                }
                return;
            }
            // At least something, or two clocks that disagree would make a busy loop.
            Hint::DueAt(due) => due.since(self.calls.now()).clamp(Duration::from_millis(1), IDLE_DUE),
            Hint::Paused | Hint::Wait => IDLE,
        };
        let _turn = tokio::select! {
            turn = self.waiting.lock() => turn,
            () = tokio::time::sleep_until(until) => return,
            () = answer.closed() => return,
        };
        let longest = longest.min(until.saturating_duration_since(Instant::now()));
        if longest.is_zero() {
            return;
        }
        let popped = tokio::select! {
            woken = self.calls.clone().wait(longest) => answer.is_closed() && woken == Woken::Ready,
            () = answer.closed() => true,
        };
        if popped {
            // The marker was for whoever takes jobs.
            self.exchange(Vec::new(), 0, true).await;
        }
    }

    /// The error for a store that has not answered in time.
    pub(super) fn silent(&self) -> Error {
        let silent = || Error::new(ErrorKind::Unknown, "the store has not answered in time");
        self.calls.failure().unwrap_or_else(silent)
    }
}
