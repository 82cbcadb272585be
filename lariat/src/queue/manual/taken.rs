//! A job in the user's hands.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lariat_lock::LossReason;
#[cfg(feature = "sqlite")]
use rusqlite::Transaction;
use serde::Serialize;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument as _;

use super::hand::{Hand, PATIENCE, Received};
use crate::error::{Error, ErrorKind};
#[cfg(feature = "sqlite")]
use crate::job::Completing;
use crate::job::{CancelReason, Job, JobError, Outcome, check_due};
use crate::store::exchange::{Settle, Transition, Verdict};
use crate::telemetry::{self, operation};
use crate::worker::{Ended, Lease, tell, transition};

macro_rules! span {
    ($taken:expr, $name:ident) => {
        operation!(telemetry::$name, $taken.hand.queue.as_str(), telemetry::JOB_ID => $taken.job.id().as_str())
    };
}

/// A job taken by [`Manual`](super::Manual), to be settled once, by one of the methods that consume it.
///
/// Dropped without that it is put back to the front of the queue in the background, as if it had not been taken. Where
/// that cannot be done (its runtime has ended, or the process), its lock lapses and the job is found stalled.
///
/// Each settles with the proof of holding the job. An error whose [`refusal`](Error::refusal) is
/// [`MissingLock`](crate::Refusal::MissingLock) or [`LockTaken`](crate::Refusal::LockTaken), or of the kind
/// [`Closed`](ErrorKind::Closed), says that the job is no longer ours: nothing was written. While the store does not
/// answer the outcome is sent on, for as long as the lock may last; an error that [`is_unknown`](Error::is_unknown) or
/// [`is_unreachable`](Error::is_unreachable) leaves open what became of it. Cancel safe: once begun, settling goes on in
/// the background.
#[must_use = "a taken job that is dropped is put back"]
pub struct TakenJob {
    pub(super) job: Job,
    pub(super) lease: Arc<Lease>,
    pub(super) hand: Arc<Hand>,
    pub(super) settled: bool,
    _watched: DropGuard,
}

impl TakenJob {
    pub(super) fn new(job: Job, lease: Arc<Lease>, hand: Arc<Hand>) -> TakenJob {
        let held = CancellationToken::new();
        let (watched, given_up) = (Arc::clone(&lease), held.clone());
        // A handler is told by its worker that its lock is lost; here nobody else would tell.
        hand.runtime.spawn(async move {
            tokio::select! {
                reason = watched.lost() => {
                    watched.cancel(CancelReason::LockLost(reason));
                }
                () = given_up.cancelled() => {}
            }
        });
        TakenJob { job, lease, hand, settled: false, _watched: held.drop_guard() }
    }

    /// The job: its payload, and what may be reported of it. [`Job::cancelled`] tells when its lock is lost.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// It is done, with this result (BullMQ's `moveToCompleted`).
    ///
    /// A result that cannot be written as JSON is an error, and the job has failed for good with it.
    pub async fn complete<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        let span = span!(self, COMPLETE);
        self.done(value, Then::Leave).instrument(span).await.map(drop)
    }

    /// [`complete`](Self::complete), and takes the next job in the same call (BullMQ's `moveToCompleted` with `fetchNext`):
    /// a loop that goes so makes one call for each job.
    ///
    /// None where none is ready, or the next one cannot be handed out; [`Manual::take`](super::Manual::take) tells which. An
    /// error is about this job: one that came with it has gone back to the front of the queue.
    ///
    /// ```no_run
    /// # async fn example(mail: lariat::Manual) -> Result<(), lariat::Error> {
    /// let mut next = mail.take().await?;
    /// while let Some(taken) = next {
    ///     let length = taken.job().data::<String>()?.len();
    ///     next = taken.complete_and_take(&length).await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn complete_and_take<T: Serialize + ?Sized>(self, value: &T) -> Result<Option<TakenJob>, Error> {
        let span = span!(self, COMPLETE);
        self.done(value, Then::Take).instrument(span).await
    }

    /// It is done, with this result, in a transaction: [`Job::complete_in`], which has the details. With its commit there is
    /// nothing left to settle; where it is rolled back, the job is still to be settled.
    #[cfg(feature = "sqlite")]
    pub fn complete_in<'c, T: Serialize + ?Sized>(
        &self,
        tx: Transaction<'c>,
        value: &T,
    ) -> Result<Completing<'c>, Error> {
        self.job.complete_in(tx, value).map_err(|e| self.about(e))
    }

    /// It has failed for good, whatever attempts are left (BullMQ's `moveToFailed` with an `UnrecoverableError`).
    pub async fn fail(self, reason: impl Into<String>) -> Result<(), Error> {
        let span = span!(self, FAIL);
        self.settle(Err(JobError::fail(reason)), Then::Leave).instrument(span).await.map(drop)
    }

    /// [`fail`](Self::fail), and takes the next job in the same call, as [`complete_and_take`](Self::complete_and_take)
    /// does.
    pub async fn fail_and_take(self, reason: impl Into<String>) -> Result<Option<TakenJob>, Error> {
        let span = span!(self, FAIL);
        self.settle(Err(JobError::fail(reason)), Then::Take).instrument(span).await
    }

    /// The attempt has failed (BullMQ's `moveToFailed`): the job is tried again as its attempts and its backoff say, or
    /// has failed for good where none is left.
    pub async fn retry(self, reason: impl Into<String>) -> Result<(), Error> {
        let span = span!(self, RETRY);
        self.settle(Err(JobError::retry(reason)), Then::Leave).instrument(span).await.map(drop)
    }

    /// [`retry`](Self::retry), and takes the next job in the same call, as [`complete_and_take`](Self::complete_and_take)
    /// does; that may be this one again, where its backoff does not let it wait.
    pub async fn retry_and_take(self, reason: impl Into<String>) -> Result<Option<TakenJob>, Error> {
        let span = span!(self, RETRY);
        self.settle(Err(JobError::retry(reason)), Then::Take).instrument(span).await
    }

    /// It is to run again after this time (BullMQ's `moveToDelayed`). It uses no attempt. A delay that ends too late is an
    /// error, and the job is put back.
    pub async fn delay(self, delay: Duration) -> Result<(), Error> {
        check_due("delay", delay, self.hand.calls.now()).map_err(|e| self.about(e))?;
        let span = span!(self, DELAY);
        self.settle(Ok(Outcome::Delay(delay)), Then::Leave).instrument(span).await.map(drop)
    }

    /// It goes back to the front of the queue, as if it had not been taken (BullMQ's `moveToWait`).
    pub async fn put_back(self) -> Result<(), Error> {
        let span = span!(self, PUT_BACK);
        self.settle(Ok(Outcome::PutBack), Then::Leave).instrument(span).await.map(drop)
    }

    /// It waits until its children have ended, and can be taken again then (BullMQ's `moveToWaitingChildren`). Where none
    /// is pending it is handed back, to go on with.
    pub async fn wait_for_children(mut self) -> Result<Option<TakenJob>, Error> {
        let span = span!(self, WAIT_FOR_CHILDREN);
        match self.hand_in(Transition::WaitForChildren, Then::Leave).instrument(span).await?.verdict {
            Verdict::Resume => self.retaken().map(Some),
            verdict => self.judged(verdict).map(|()| None),
        }
    }

    /// As if it had just been taken: its lock is tracked anew, and so has to be watched anew.
    pub(super) fn retaken(&self) -> Result<TakenJob, Error> {
        if self.lease.reopen() {
            return Ok(TakenJob::new(self.job.clone(), Arc::clone(&self.lease), Arc::clone(&self.hand)));
        }
        Err(self.lost(LossReason::Expired))
    }

    async fn done<T: Serialize + ?Sized>(self, value: &T, then: Then) -> Result<Option<TakenJob>, Error> {
        match Outcome::done(value) {
            Ok(done) => self.settle(Ok(done), then).await,
            Err(unwritable) => {
                let error = self.about(Error::new(ErrorKind::Data, unwritable.reason().to_owned()));
                self.settle(Err(unwritable), Then::Leave).await?;
                Err(error)
            }
        }
    }

    async fn settle(mut self, ended: Result<Outcome, JobError>, then: Then) -> Result<Option<TakenJob>, Error> {
        let (record, limits) = (self.job.record(), &self.hand.limits);
        let to = transition(Ended::Returned(ended), record, limits, self.hand.calls.now(), fastrand::f64());
        // What was returned always leads somewhere; only what was stopped may not.
        let to = to.unwrap_or(Transition::PutBack);
        let Sent { verdict, next } = self.hand_in(to, then).await?;
        self.judged(verdict).map(|()| next)
    }

    /// Sends the outcome in a task of its own, and waits for the store's word.
    pub(super) async fn hand_in(&mut self, to: Transition, then: Then) -> Result<Sent, Error> {
        if self.lease.is_committed() {
            let words = "the job was completed in a transaction, which is committed: nothing else was written";
            return Err(self.about(Error::new(ErrorKind::Closed, words)));
        }
        if let Err(loss) = self.lease.settle() {
            // After expiry it may still be ours, and is put back; the store judges.
            self.settled = loss != LossReason::Expired;
            return Err(self.lost(loss));
        }
        self.settled = true;
        let sending = self.hand.runtime.spawn(send(Arc::clone(&self.hand), Arc::clone(&self.lease), to, then));
        let patience = self.hand.terms.lock_duration().max(PATIENCE);
        match tokio::time::timeout(patience, sending).await {
            Ok(Ok(Some(sent))) => Ok(sent),
            Ok(Err(_)) => {
                Err(self.about(Error::new(ErrorKind::Unknown, "the runtime ended before the store answered")))
            }
            Ok(Ok(None)) | Err(_) => Err(self.about(self.hand.silent())),
        }
    }

    pub(super) fn judged(&self, verdict: Verdict) -> Result<(), Error> {
        match verdict {
            Verdict::Accepted | Verdict::Resume => Ok(()),
            Verdict::Refused(refusal) => Err(self.about(Error::refused(refusal))),
            Verdict::Broken(why) => Err(self.about(Error::new(ErrorKind::Store, why))),
        }
    }

    pub(super) fn lost(&self, loss: LossReason) -> Error {
        let words = format!("the job's lock is lost ({loss}): nothing was written");
        self.about(Error::new(ErrorKind::Closed, words))
    }

    fn about(&self, error: Error) -> Error {
        error.in_queue(&self.hand.queue).for_job(self.job.id())
    }
}

/// Whether the call that settles a job is to take another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Leave,
    Take,
}

/// The store's answer to an outcome, and the job that came with it. Dropped, the job goes back.
pub(super) struct Sent {
    pub(super) verdict: Verdict,
    next: Option<TakenJob>,
}

/// Sends an outcome to its end. The lock is renewed until then.
async fn send(hand: Arc<Hand>, lease: Arc<Lease>, to: Transition, then: Then) -> Option<Sent> {
    let settle = Settle { id: lease.id.clone(), token: lease.shared_token(), to };
    let want = usize::from(then == Then::Take);
    let mut answered = hand.exchange(vec![settle.clone()], want, false).await;
    let verdict = answered.as_mut().and_then(|answered| answered.reply.verdicts.pop());
    if verdict == Some(Verdict::Accepted) {
        tell::accepted(hand.queue.as_str(), &settle.to);
    }
    // One that goes on keeps its lock.
    if verdict != Some(Verdict::Resume) {
        lease.release();
    }
    let (answered, verdict) = (answered?, verdict?);
    let next = match then {
        Then::Leave => None,
        // One that cannot be handed out was put back: whoever takes next is told why.
        Then::Take => match hand.received(answered).await {
            Ok(Received::Job(job)) => Some(job),
            Ok(Received::Nothing(_)) | Err(_) => None,
        },
    };
    Some(Sent { verdict, next })
}

impl Drop for TakenJob {
    fn drop(&mut self) {
        if self.settled || self.lease.is_committed() {
            return;
        }
        // Should its trust be over: the store judges.
        self.lease.settle().ok();
        self.hand.runtime.spawn(send(
            Arc::clone(&self.hand),
            Arc::clone(&self.lease),
            Transition::PutBack,
            Then::Leave,
        ));
    }
}

impl fmt::Debug for TakenJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TakenJob").field(&self.job).finish()
    }
}
