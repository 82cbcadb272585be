//! From a job that was handed out to its running handler.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use lariat_lock::TrackError;
use tracing::Instrument as _;

use super::{Engine, Finished};
use crate::error::ErrorKind;
use crate::job::{CancelReason, Held, Job, JobRecord};
use crate::store::exchange::{Failure, Settle, Taken, Transition};
use crate::telemetry;
use crate::worker::event::WorkerEvent;
use crate::worker::handler::{self, Ended, Limits};
use crate::worker::hold::Hold;
use crate::worker::lease::{EndTerms, Grant, Lease};
use crate::worker::slots::{Phase, RunId};
use crate::worker::tell;

impl Engine {
    /// A job was handed out: track its lock, then run it, or decide about it at once.
    pub(super) fn take(&mut self, taken: Taken, sent: lariat_lock::Instant) {
        let Taken { id, token, record } = taken;
        let Some(run) = token.rsplit_once(':').and_then(|(_, run)| run.parse::<RunId>().ok()) else { return };
        self.slots.started(run);
        let hold = match self.parts.locks.track_job(id.shared(), Arc::clone(&token), sent) {
            Ok(guard) => Hold::Renewed(guard),
            Err(error) => {
                if !matches!(error, TrackError::Expired) {
                    self.stop_because(ErrorKind::Closed, format!("locks cannot be renewed: {error}"));
                }
                return self.slots.ended(run, Some(Settle { id, token, to: Transition::PutBack }));
            }
        };
        let (name, attempt, keep_logs) = match &record {
            Ok(record) => (record.name.clone(), record.attempts_made.saturating_add(1), record.options.keep_logs),
            Err(_) => (String::new(), 1, None),
        };
        let ends = EndTerms { keep: self.parts.limits.remove_on_complete, metrics: self.parts.metrics };
        let (token_of_run, locks) = (Arc::clone(&token), Some(self.parts.locks.clone()));
        let grant = Grant { run, id: id.clone(), name, attempt, keep_logs, token: token_of_run, hold, ends, locks };
        let lease = Arc::new(Lease::new(grant, &self.parts.calls));
        self.parts.shared.begin(Arc::clone(&lease));
        let at_once = match record {
            Err(problem) => {
                let failure = Failure { stacktrace: vec![problem.clone()], reason: problem };
                Transition::Fail { failure, keep: self.parts.limits.remove_on_fail, attempts: 1 }
            }
            Ok(record) => {
                let Some(transition) = self.without_running(&record) else {
                    let job = Job::new(Arc::clone(&self.parts.queue), *record, lease_held(&lease));
                    return self.start(lease, job);
                };
                transition
            }
        };
        // Should its trust be over already: the store judges, as it does with every outcome.
        lease.settle().ok();
        self.slots.ended(run, Some(Settle { id, token, to: at_once }));
    }

    /// What becomes of a job whose handler is not to be run.
    fn without_running(&mut self, record: &JobRecord) -> Option<Transition> {
        if let Some(scheduler) = &record.scheduler {
            let why = format!(
                "job {:?} belongs to job scheduler {scheduler:?}, which this version cannot continue; the job was handed back",
                record.id.as_str()
            );
            tell::stops(&self.parts.queue, &why);
            self.stop_because(ErrorKind::Unsupported, why);
            return Some(Transition::PutBack);
        }
        if self.slots.phase() == Phase::Closing {
            return Some(Transition::PutBack);
        }
        record.deferred_failure.clone().map(|reason| handler::failed(reason, record, &self.parts.limits))
    }

    /// The store has no children for the job to wait for: it is still ours, and runs again.
    pub(super) fn resume(&mut self, run: RunId, job: Job) {
        let Some(lease) = self.parts.shared.lease(run) else { return };
        self.slots.started(run);
        if self.slots.phase() == Phase::Closing || !lease.reopen() {
            let settle = Settle { id: lease.id.clone(), token: lease.shared_token(), to: Transition::PutBack };
            return self.slots.ended(run, Some(settle));
        }
        self.start(lease, job);
    }

    fn start(&mut self, lease: Arc<Lease>, job: Job) {
        self.just_started += 1;
        self.say.say(|| WorkerEvent::Active {
            id: job.id().clone(),
            name: job.name().to_owned(),
            attempt: job.attempt(),
        });
        let handler = Arc::clone(&self.parts.handler);
        let (finish, limits) = (self.finish.clone(), self.parts.limits.clone());
        let span = telemetry::process(
            &self.parts.queue,
            self.parts.worker_name.as_deref(),
            (job.id().as_str(), job.name(), job.record().attempts_made),
        );
        let run = async move { attempt(&*handler, &lease, job, &limits).await };
        let mut run = Box::pin(run.instrument(span));
        // With a single slot there is nobody whom a handler could hold up: it begins right here, and one that ends at
        // once costs no task. With more, each has a task of its own, so that they run on all threads of the runtime.
        if self.slots.concurrency() == 1
            && let Poll::Ready(finished) = run.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            return self.take_in(finished);
        }
        tokio::spawn(async move {
            // The engine outlives its runs, unless the runtime ends.
            drop(finish.send(run.await));
        });
    }
}

/// Runs the handler, and says what to hand in.
async fn attempt(handler: &dyn handler::Handler, lease: &Lease, job: Job, limits: &Limits) -> Finished {
    let mut ended = handler::run(handler, job.clone(), lease, limits).await;
    if lease.is_committed() {
        if let Ended::Returned(Err(error)) = ended {
            tell::failed_after_commit(job.queue(), job.id(), error.reason());
        }
        tell::run_ended(job.queue(), job.name(), "completed", lease.since);
        return Finished { run: lease.run, settle: None, job: None, committed: Some(lease.id.clone()) };
    }
    // From here on a loss is not reported; one that came before makes the result void.
    if let Err(loss) = lease.settle() {
        lease.cancel(CancelReason::LockLost(loss));
        ended = Ended::Stopped(CancelReason::LockLost(loss));
    }
    let transition = handler::transition(ended, job.record(), limits, lease.now(), fastrand::f64());
    tell::run_ended(job.queue(), job.name(), tell::state(transition.as_ref()), lease.since);
    let again = matches!(transition, Some(Transition::WaitForChildren));
    let settle = transition.map(|to| Settle { id: lease.id.clone(), token: lease.shared_token(), to });
    Finished { run: lease.run, settle, job: again.then_some(job), committed: None }
}

fn lease_held(lease: &Arc<Lease>) -> Arc<dyn Held> {
    Arc::clone(lease) as Arc<dyn Held>
}
