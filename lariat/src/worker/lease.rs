//! One run's hold on its job: lock guard, cancel signal, and the way to report. Shared by the run's handler, the worker
//! and everybody to whom the handler gave its [`Job`](crate::Job).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lariat_lock::{BoxFuture, LockManager, LossReason};
#[cfg(feature = "sqlite")]
use rusqlite::Transaction;
use serde_json::value::RawValue;
use tokio::sync::Notify;

use super::event::{Announcer, WorkerEvent};
use super::hold::Hold;
use super::slots::RunId;
use super::store::StoreCalls;
use crate::error::{Error, ErrorKind};
use crate::id::JobId;
use crate::job::{CancelReason, Held, Keep};
use crate::store::QueueBackend;
use crate::store::change::{Change, ChangeJob};
use crate::telemetry::{self, Cause};
use crate::time::{Clock, Timestamp};

static LOST: Cause = Cause::new();

/// One run of a job by this worker.
pub(crate) struct Lease {
    pub run: RunId,
    pub id: JobId,
    pub name: String,
    pub attempt: u32,
    pub keep_logs: Option<u64>,
    pub since: lariat_lock::Instant,
    token: Arc<str>,
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "without it there are no transactions"))]
    pub(super) ends: EndTerms,
    /// None: nobody renews.
    pub(super) locks: Option<LockManager>,
    stage: Mutex<Stage>,
    /// None once the outcome has been answered: the job is not ours any more.
    hold: Mutex<Option<Hold>>,
    /// There is another hold than before.
    held_anew: Notify,
    cancel: Mutex<Cancel>,
    cancelled: Notify,
    /// Whether it has been said that the lock is lost.
    told_lost: AtomicBool,
    pub(super) backend: Arc<dyn QueueBackend>,
    clock: Clock,
    say: Announcer,
}

/// How a job that is completed in a transaction ends; of the worker's options.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "without it there are no transactions"))]
pub(crate) struct EndTerms {
    pub keep: Keep,
    pub metrics: Option<u32>,
}

/// How far the outcome is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "without it there are no transactions"))]
pub(super) enum Stage {
    /// There is none yet.
    Open,
    /// The job is completed in a transaction that has not ended.
    Joined,
    /// That transaction was committed.
    Committed,
    /// On its way to the store, or answered.
    HandedIn,
}

/// Whether the handler was told to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cancel {
    NotYet,
    Told(CancelReason),
    /// The handler has ended without having been told: it is too late.
    TooLate,
}

/// What a [`Lease`] is made of.
pub(crate) struct Grant {
    pub run: RunId,
    pub id: JobId,
    pub name: String,
    pub attempt: u32,
    pub keep_logs: Option<u64>,
    pub token: Arc<str>,
    pub hold: Hold,
    pub ends: EndTerms,
    /// Who renews the lock.
    pub locks: Option<LockManager>,
}

impl Lease {
    pub(crate) fn new(grant: Grant, calls: &StoreCalls) -> Lease {
        Lease {
            run: grant.run,
            id: grant.id,
            name: grant.name,
            attempt: grant.attempt,
            keep_logs: grant.keep_logs,
            since: lariat_lock::Instant::now(),
            token: grant.token,
            ends: grant.ends,
            locks: grant.locks,
            stage: Mutex::new(Stage::Open),
            hold: Mutex::new(Some(grant.hold)),
            held_anew: Notify::new(),
            cancel: Mutex::new(Cancel::NotYet),
            cancelled: Notify::new(),
            told_lost: AtomicBool::new(false),
            backend: calls.backend(),
            clock: calls.clock(),
            say: calls.announcer(),
        }
    }

    pub(super) fn hold(&self) -> MutexGuard<'_, Option<Hold>> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By the clock of its store.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Taken before the hold and the cancel state, where both are needed.
    pub(super) fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cancel_state(&self) -> MutexGuard<'_, Cancel> {
        self.cancel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handler has ended: from here on nobody can tell it to stop. The reason, where somebody has before.
    pub(super) fn handler_ended(&self) -> Option<CancelReason> {
        let mut state = self.cancel_state();
        match &*state {
            Cancel::Told(reason) => Some(reason.clone()),
            Cancel::NotYet | Cancel::TooLate => {
                *state = Cancel::TooLate;
                None
            }
        }
    }

    /// Asks the handler to stop. The first reason stands; a lost lock is told once, whatever came before.
    pub(crate) fn cancel(&self, reason: CancelReason) -> bool {
        let lost = if let CancelReason::LockLost(reason) = &reason { Some(*reason) } else { None };
        let first = {
            let mut state = self.cancel_state();
            let first = *state == Cancel::NotYet;
            // One that goes on after it has committed its job's completion can still be told that the worker closes.
            if first || (*state == Cancel::TooLate && (lost.is_some() || reason == CancelReason::Closing)) {
                *state = Cancel::Told(reason);
            }
            first
        };
        self.cancelled.notify_waiters();
        if let Some(reason) = lost
            && !self.told_lost.swap(true, Ordering::Relaxed)
        {
            if let Some(unsaid) = LOST.may_say() {
                tracing::warn!(
                    { telemetry::JOB_ID } = self.id.as_str(),
                    { telemetry::WHY } = %reason,
                    { telemetry::UNSAID } = unsaid,
                    "lost a job's lock; its handler is stopped"
                );
            }
            self.say.say(|| WorkerEvent::LockLost { id: self.id.clone(), reason });
        }
        first
    }

    pub(crate) fn shared_token(&self) -> Arc<str> {
        Arc::clone(&self.token)
    }

    /// Resolves when the lock is lost or its trust has ended. Never, once the outcome has been answered, and where nobody
    /// renews it.
    pub(crate) async fn lost(&self) -> LossReason {
        loop {
            let anew = self.held_anew.notified();
            tokio::pin!(anew);
            // Registered before the look, so that another hold in between is not missed.
            anew.as_mut().enable();
            let lost = self.hold().as_ref().and_then(Hold::lost);
            tokio::select! {
                reason = async { match lost { Some(lost) => lost.await, None => std::future::pending().await } } => return reason,
                () = anew => {}
            }
        }
    }

    pub(crate) fn loss(&self) -> Option<LossReason> {
        self.hold().as_ref().and_then(Hold::loss)
    }

    /// The outcome is on its way: still renewed, but no longer reported lost.
    ///
    /// An error where it was lost before: then the outcome must not be sent.
    pub(crate) fn settle(&self) -> Result<(), LossReason> {
        {
            let mut stage = self.stage();
            if *stage != Stage::Committed {
                *stage = Stage::HandedIn;
            }
        }
        self.hold().as_ref().map_or(Ok(()), Hold::settle)
    }

    /// Whether the job was completed in a transaction, and that is committed.
    pub(crate) fn is_committed(&self) -> bool {
        *self.stage() == Stage::Committed
    }

    /// Ends the settling of a job that turned out to be still ours, so that there will be another outcome; false where its
    /// trust is over.
    pub(crate) fn reopen(&self) -> bool {
        let retaken = self.retake();
        if retaken {
            *self.stage() = Stage::Open;
        }
        retaken
    }

    /// Tracks the lock anew, as one that is not settling; false where its trust is over.
    pub(super) fn retake(&self) -> bool {
        let Some(locks) = &self.locks else { return true };
        let mut slot = self.hold();
        let window = locks.terms().trust_window();
        let Some(since) = slot.take().map(|hold| hold.trusted_until() - window) else { return false };
        *slot = locks.track_job(self.id.shared(), Arc::clone(&self.token), since).ok().map(Hold::Renewed);
        if slot.is_some() {
            let mut state = self.cancel_state();
            if *state == Cancel::TooLate {
                *state = Cancel::NotYet;
            }
        }
        self.held_anew.notify_waiters();
        slot.is_some()
    }

    /// When its trust ends if no renewal is confirmed any more; None where it is over, or nobody has to renew it.
    pub(super) fn trusted_until(&self) -> Option<lariat_lock::Instant> {
        self.hold().as_ref().filter(|hold| hold.loss().is_none()).map(Hold::trusted_until)
    }

    /// The outcome has been answered, or there is none: the lock is no longer ours to renew.
    pub(crate) fn release(&self) {
        let hold = self.hold().take();
        drop(hold);
    }

    fn change(&self, change: Change) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            match self.hold().as_ref().map(Hold::check) {
                Some(Ok(())) => {}
                Some(Err(reason)) => {
                    let words = format!("the job's lock is lost ({reason}): nothing was written");
                    return Err(Error::new(ErrorKind::Closed, words).for_job(&self.id));
                }
                None => {
                    return Err(
                        Error::new(ErrorKind::Closed, "the job has ended: nothing was written").for_job(&self.id)
                    );
                }
            }
            let change =
                ChangeJob { id: self.id.clone(), now: self.now(), holder: Some(Arc::clone(&self.token)), change };
            self.backend.change(&change).await.map(drop).map_err(|e| e.for_job(&self.id))
        })
    }
}

impl Held for Lease {
    fn token(&self) -> &str {
        &self.token
    }

    fn cancelled(&self) -> BoxFuture<'_, CancelReason> {
        Box::pin(async {
            loop {
                let notified = self.cancelled.notified();
                tokio::pin!(notified);
                // Registered before the look, so that a signal between the two is not missed.
                notified.as_mut().enable();
                if let Some(reason) = self.cancel_reason() {
                    return reason;
                }
                notified.await;
            }
        })
    }

    fn cancel_reason(&self) -> Option<CancelReason> {
        match &*self.cancel_state() {
            Cancel::Told(reason) => Some(reason.clone()),
            Cancel::NotYet | Cancel::TooLate => None,
        }
    }

    fn lock_left(&self) -> Duration {
        self.hold().as_ref().map_or(Duration::ZERO, Hold::trust_left)
    }

    fn progress(&self, value: Box<RawValue>) -> BoxFuture<'_, Result<(), Error>> {
        self.change(Change::Progress(value))
    }

    fn replace_data(&self, value: Box<RawValue>) -> BoxFuture<'_, Result<(), Error>> {
        self.change(Change::Data(value))
    }

    fn log(&self, rows: Vec<String>) -> BoxFuture<'_, Result<(), Error>> {
        self.change(Change::Log { rows, keep: self.keep_logs })
    }

    #[cfg(feature = "sqlite")]
    fn complete_in(&self, tx: &Transaction<'_>, value: Box<RawValue>, keep: Option<Keep>) -> Result<(), Error> {
        Lease::complete_in(self, tx, value, keep)
    }

    #[cfg(feature = "sqlite")]
    fn commit(&self, tx: Transaction<'_>) -> Result<(), Error> {
        self.commit_joined(tx)
    }

    #[cfg(feature = "sqlite")]
    fn rolled_back(&self) {
        self.end_joined();
    }
}
