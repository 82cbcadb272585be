//! The worker's one task: exchange, wait, start ([`start`]), close. It carries out what [`Slots`] says.

mod start;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lariat_lock::LockManager;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::event::{Announcer, WorkerEvent};
use super::handler::{Limits, SharedHandler};
use super::slots::{Ask, Done, LANES, Phase, RunId, Slots};
use super::store::{Answered, Lane, StoreCalls};
use super::{Shared, StopReason, Wish, tell};
use crate::error::{ErrorKind, chain};
use crate::id::JobId;
use crate::job::{CancelReason, Job};
use crate::store::exchange::{
    DelayedAttempt, Exchange, Lease as LeaseTerms, RateLimit, Settle, Transition, Verdict, Woken,
};

/// How long after the end of every grace a closing worker waits for a handler that blocks its thread.
pub(super) const LAST_WAIT: Duration = Duration::from_secs(1);

/// How long a closing worker that has nothing to hand in tries to give back a marker, or to learn what became of a call.
const LAST_TRY: Duration = Duration::from_secs(5);

/// What the engine is made of.
pub(super) struct Parts {
    pub queue: Arc<str>,
    pub handler: SharedHandler,
    pub calls: StoreCalls,
    pub locks: LockManager,
    pub shared: Arc<Shared>,
    pub limits: Limits,
    pub concurrency: usize,
    pub lock_duration: Duration,
    pub worker_name: Option<Arc<str>>,
    pub limiter: Option<RateLimit>,
    pub metrics: Option<u32>,
}

/// A handler has ended.
struct Finished {
    run: RunId,
    settle: Option<Settle>,
    /// Kept where the job may have to be run again at once.
    job: Option<Job>,
    /// The job has been completed in a transaction: there is nothing to hand in.
    committed: Option<JobId>,
}

/// How the worker ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Summary {
    pub handed_back: usize,
    pub still_running: usize,
    pub unsettled: usize,
    pub why: Option<StopReason>,
}

type Pending<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

pub(super) struct Engine {
    parts: Parts,
    say: Announcer,
    slots: Slots,
    finished: mpsc::UnboundedReceiver<Finished>,
    finish: mpsc::UnboundedSender<Finished>,
    lanes: [Lane; LANES],
    /// One for each lane.
    exchanges: [Pending<(Ask, Answered)>; LANES],
    wait: Pending<Woken>,
    resumable: HashMap<RunId, Job>,
    first_run: RunId,
    /// Handlers are told to stop then.
    grace_ends: Option<Instant>,
    told_to_stop: bool,
    /// Handlers that still run then block their thread, and are left behind.
    abandons: Option<Instant>,
    /// Handing in goes on at most until then.
    gives_up: Option<Instant>,
    closing_since: Option<Instant>,
    busy: bool,
    just_started: usize,
    summary: Summary,
}

impl Engine {
    pub(super) fn new(parts: Parts) -> Engine {
        let (finish, finished) = mpsc::unbounded_channel();
        Engine {
            say: parts.shared.say.clone(),
            slots: Slots::new(parts.concurrency),
            parts,
            finished,
            finish,
            lanes: Lane::of_one_worker(),
            exchanges: std::array::from_fn(|_| None),
            wait: None,
            resumable: HashMap::new(),
            first_run: 1,
            grace_ends: None,
            told_to_stop: false,
            abandons: None,
            gives_up: None,
            closing_since: None,
            busy: false,
            just_started: 0,
            summary: Summary::default(),
        }
    }

    /// Works until it is closed, or has to stop.
    pub(super) async fn run(mut self) -> Summary {
        if let Err(error) = self.parts.calls.preflight().await {
            // Nothing was asked for yet, so there is nothing to hand in, and no marker to give back.
            self.summary.why = Some(StopReason { kind: error.kind(), message: chain(&error) });
            return self.summary;
        }
        let shared = Arc::clone(&self.parts.shared);
        let mut wishes = shared.wishes.subscribe();
        wishes.mark_changed();
        loop {
            // Handlers that end at once ride in one exchange rather than each in its own, if they are let run first. Not
            // where slots are free: there is more to ask for. A yield stays with its thread for as long as a handler
            // blocks that; so whatever else happens goes on, which another thread then does.
            let lets_run = std::mem::take(&mut self.just_started) > 1 && self.slots.is_full();
            if !lets_run {
                self.issue();
            }
            if self.slots.is_over() || self.gives_up().is_some_and(|at| at <= Instant::now()) {
                break;
            }
            let alarm = self.alarm();
            let [first, second] = &mut self.exchanges;
            tokio::select! {
                biased;
                // Before anything that leads to a call: whoever was told to take nothing asks for nothing.
                Ok(()) = wishes.changed() => {
                    let wish = wishes.borrow_and_update().clone();
                    self.wish(&wish);
                }
                Some(finished) = self.finished.recv() => {
                    self.take_in(finished);
                    self.take_in_finished();
                }
                (ask, answered) = pending(first) => self.answered(ask, answered),
                (ask, answered) = pending(second) => self.answered(ask, answered),
                woken = pending(&mut self.wait) => {
                    self.wait = None;
                    self.slots.woken(woken, Instant::now(), self.parts.calls.now());
                }
                () = sleep_until(alarm) => self.alarmed(),
                () = tokio::task::yield_now(), if lets_run => self.take_in_finished(),
            }
        }
        self.summary.unsettled = self.slots.unsettled();
        self.summary
    }

    /// Sends and waits for what the slots say.
    fn issue(&mut self) {
        let now = Instant::now();
        while let Some(ask) = self.slots.ask(now) {
            let (Some(lane), Some(pending)) = (self.lanes.get_mut(ask.lane), self.exchanges.get_mut(ask.lane)) else {
                return;
            };
            let exchange = Exchange {
                call: lane.next(),
                now: self.parts.calls.now(),
                outcomes: ask.outcomes.iter().map(|done| done.settle.clone()).collect(),
                want: ask.want,
                lease: LeaseTerms {
                    first: self.first_run,
                    lock_duration: self.parts.lock_duration,
                    worker: self.parts.worker_name.clone(),
                },
                limiter: self.parts.limiter,
                metrics: self.parts.metrics,
                wake_another: ask.wake_another,
            };
            self.first_run += ask.want as u64;
            let calls = self.parts.calls.clone();
            *pending = Some(Box::pin(async move { (ask, calls.exchange(exchange).await) }));
        }
        if let Some(longest) = self.slots.wait(now) {
            self.wait = Some(Box::pin(self.parts.calls.clone().wait(longest)));
        }
    }

    fn alarm(&self) -> Option<Instant> {
        let grace = self.grace_ends.filter(|_| !self.told_to_stop);
        [self.slots.wake_at(), grace, self.abandons, self.gives_up()].into_iter().flatten().min()
    }

    /// When a closing worker ends in any case; sooner where nothing of its own is at stake.
    fn gives_up(&self) -> Option<Instant> {
        let nothing_to_lose = self.closing_since.filter(|_| self.slots.is_idle()).map(|since| since + LAST_TRY);
        nothing_to_lose.into_iter().chain(self.gives_up).min()
    }

    fn alarmed(&mut self) {
        let now = Instant::now();
        if self.abandons.is_some_and(|at| at <= now) {
            self.abandons = None;
            // Each wish that comes while closing sets the alarm anew.
            self.summary.still_running += self.slots.abandon();
        }
        if self.grace_ends.is_some_and(|at| at <= now) && !self.told_to_stop {
            self.told_to_stop = true;
            for lease in self.parts.shared.leases() {
                lease.cancel(CancelReason::Closing);
            }
        }
    }

    fn wish(&mut self, wish: &Wish) {
        if let Some(concurrency) = wish.concurrency {
            self.slots.set_concurrency(concurrency);
        }
        if let Some(close_by) = wish.close_by {
            self.close(close_by);
        } else {
            self.slots.set_phase(if wish.quiet { Phase::Quiet } else { Phase::Working });
        }
    }

    fn close(&mut self, by: Instant) {
        self.closing_since.get_or_insert_with(Instant::now);
        self.slots.set_phase(Phase::Closing);
        // A wait that is cut short may have popped a marker: the last exchange makes up for it.
        self.wait = None;
        let by = self.grace_ends.map_or(by, |known| known.min(by));
        self.grace_ends = Some(by);
        let abandons = by + self.parts.limits.cancel_grace + LAST_WAIT;
        self.abandons = Some(abandons);
        // Once the locks have lapsed there is nothing left to hand in.
        self.gives_up = Some(abandons + self.parts.lock_duration);
        self.alarmed();
    }

    fn stop_because(&mut self, kind: ErrorKind, message: String) {
        self.summary.why.get_or_insert(StopReason { kind, message });
        self.close(Instant::now() + self.parts.lock_duration);
    }

    fn take_in_finished(&mut self) {
        while let Ok(finished) = self.finished.try_recv() {
            self.take_in(finished);
        }
    }

    fn take_in(&mut self, finished: Finished) {
        if finished.settle.is_none() {
            self.parts.shared.end(finished.run);
        }
        if let Some(job) = finished.job {
            self.resumable.insert(finished.run, job);
        }
        if let Some(id) = finished.committed {
            self.completed(id);
        }
        let nothing_to_hand_in = finished.settle.is_none();
        self.slots.ended(finished.run, finished.settle);
        if nothing_to_hand_in {
            // No answer comes that would say so.
            self.parts.shared.set_idle(self.slots.is_idle());
        }
    }

    fn answered(&mut self, ask: Ask, answered: Answered) {
        let Answered { reply, sent } = answered;
        let (now, wall) = (Instant::now(), self.parts.calls.now());
        if let Some(pending) = self.exchanges.get_mut(ask.lane) {
            *pending = None;
        }
        self.slots.answered(ask.lane, reply.jobs.len(), reply.hint, now, wall);
        self.busy |= !ask.outcomes.is_empty() || !reply.jobs.is_empty();
        for (done, verdict) in ask.outcomes.into_iter().zip(reply.verdicts) {
            self.judged(done, verdict);
        }
        for dropped in reply.dropped {
            tell::dropped(&self.parts.queue, &dropped);
            self.say.say(|| WorkerEvent::Dropped { id: dropped.id, why: dropped.why });
        }
        for taken in reply.jobs {
            self.take(taken, sent);
        }
        if self.busy && ask.want > 0 && self.slots.is_idle() {
            self.busy = false;
            self.say.say(|| WorkerEvent::Drained);
        }
        self.parts.shared.set_idle(self.slots.is_idle());
    }

    /// The store has decided about an outcome.
    fn judged(&mut self, done: Done, verdict: Verdict) {
        let Done { run, settle } = done;
        let job = self.resumable.remove(&run);
        match verdict {
            Verdict::Accepted => {
                tell::accepted(&self.parts.queue, &settle.to);
                self.announce(settle);
            }
            Verdict::Resume => {
                if let Some(job) = job {
                    return self.resume(run, job);
                }
            }
            // Its handler was given up while it committed the job's completion, which came first.
            Verdict::Refused(_) if self.parts.shared.lease(run).is_some_and(|lease| lease.is_committed()) => {
                self.completed(settle.id);
            }
            // Its lock was known to be over when it was put back; the store has confirmed it.
            Verdict::Refused(refusal) if refusal.is_lost_lock() && matches!(settle.to, Transition::PutBack) => {}
            Verdict::Refused(refusal) => self.refused(&settle, refusal.to_string()),
            Verdict::Broken(why) => self.refused(&settle, why),
        }
        self.parts.shared.end(run);
    }

    /// A job was completed in a transaction of its handler's.
    fn completed(&self, id: JobId) {
        tell::completed(&self.parts.queue);
        self.say.say(|| WorkerEvent::Completed { id });
    }

    fn refused(&self, settle: &Settle, why: String) {
        tell::refused(&self.parts.queue, &settle.id, &why);
        self.say.say(|| WorkerEvent::ResultRefused { id: settle.id.clone(), why });
    }

    fn announce(&mut self, settle: Settle) {
        let Settle { id, to, .. } = settle;
        if matches!(to, Transition::PutBack) {
            self.summary.handed_back += usize::from(self.slots.phase() == Phase::Closing);
        }
        self.say.say(|| match to {
            Transition::Complete { .. } => WorkerEvent::Completed { id },
            Transition::Fail { failure, .. } => WorkerEvent::Failed { id, reason: failure.reason },
            Transition::Retry { failure, .. } => {
                WorkerEvent::Retrying { id, reason: failure.reason, delay: Duration::ZERO }
            }
            Transition::Delay { delay, attempt: DelayedAttempt::Failed(failure) } => {
                WorkerEvent::Retrying { id, reason: failure.reason, delay }
            }
            Transition::Delay { delay, attempt: DelayedAttempt::NotUsed } => WorkerEvent::Delayed { id, delay },
            Transition::WaitForChildren => WorkerEvent::WaitingForChildren { id },
            Transition::PutBack => WorkerEvent::PutBack { id },
        });
    }
}

/// The pending future's result; never, where there is none.
async fn pending<T>(future: &mut Pending<T>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
