//! The workers of one process, one for each queue, and what they say.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lariat::{Closed, Queue, Store, Worker, WorkerEvent};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::command::{PATIENCE, Runner};
use super::report::{Now, Report};
use crate::args::WorkArgs;
use crate::failure::{Failure, chain};
use crate::output;

/// How long after KILL a command may take to be gone before its run is given up.
const AFTER_KILL: Duration = Duration::from_secs(1);
/// The pause between looks at queues that may be drained, when nothing happens that ends it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// All the workers.
pub(crate) struct Crew {
    pub(crate) members: Vec<Member>,
    lock_duration: Duration,
    margin: Duration,
}

/// A worker and its queue.
pub(crate) struct Member {
    pub(crate) queue: Queue,
    pub(crate) worker: Arc<Worker>,
}

impl Crew {
    /// Starts a worker for each queue. The second answer is what they will say, with the queue's place.
    pub(crate) fn start(
        store: &Store,
        args: &WorkArgs,
        runner: &Arc<Runner>,
    ) -> Result<(Crew, mpsc::UnboundedReceiver<(usize, WorkerEvent)>), Failure> {
        let mut members: Vec<Member> = Vec::new();
        let (tell, said) = mpsc::unbounded_channel();
        let queues: BTreeSet<&String> = args.queues.iter().collect();
        for (place, name) in queues.into_iter().enumerate() {
            let queue = Queue::new(store, name)?;
            let runner = Arc::clone(runner);
            let mut builder = Worker::builder(store, name)
                .concurrency(usize::try_from(args.concurrency).unwrap_or(usize::MAX))
                .lock_duration(args.lock_duration)
                .stalled_interval(args.stalled_interval)
                .max_stalled(args.max_stalled)
                .timeout(args.timeout)
                .cancel_grace(PATIENCE + AFTER_KILL);
            if let Some(renew) = args.lock_renew {
                builder = builder.lock_renew_time(renew);
            }
            if let Some(name) = &args.name {
                builder = builder.name(name.as_str());
            }
            let worker = builder.start(move |job| {
                let runner = Arc::clone(&runner);
                async move { runner.run(job).await }
            })?;
            let (mut events, tell) = (worker.events(), tell.clone());
            tokio::spawn(async move {
                while let Some(event) = events.next().await {
                    if tell.send((place, event)).is_err() {
                        return;
                    }
                }
            });
            members.push(Member { queue, worker: Arc::new(worker) });
        }
        Ok((Crew { members, lock_duration: args.lock_duration, margin: margin(args.lock_duration) }, said))
    }

    pub(crate) fn workers(&self) -> Vec<Arc<Worker>> {
        self.members.iter().map(|member| Arc::clone(&member.worker)).collect()
    }

    /// Tells all workers to close; may be said again with less grace.
    pub(crate) fn close(&self, grace: Duration) {
        for worker in self.workers() {
            tokio::spawn(async move { worker.close(grace).await });
        }
    }

    /// Resolves when all workers have ended.
    pub(crate) async fn stopped(workers: Vec<Arc<Worker>>) -> Vec<Closed> {
        let mut all = JoinSet::new();
        for worker in workers {
            all.spawn(async move { worker.stopped().await });
        }
        all.join_all().await
    }

    pub(crate) fn now(&self) -> Now {
        let trust = self.members.iter().filter_map(|member| member.worker.smallest_trust()).min();
        let active = self.members.iter().map(|member| member.worker.active().len()).sum();
        Now { active, smallest_trust: trust }
    }

    /// What is running, and how its locks are.
    pub(crate) fn status(&self) {
        for member in &self.members {
            let (queue, worker) = (member.queue.name().as_str(), &member.worker);
            let active = worker.active();
            tracing::info!(target: "work", queue, active = active.len(), quiet = worker.is_quiet(), "status");
            for job in active {
                // What is trusted less than a fresh lock has aged by the difference.
                let age = self.lock_duration.saturating_sub(self.margin + job.trust_left);
                let (id, name, attempt) = (job.id.as_str(), job.name.as_str(), job.attempt);
                let (running, lock_age, trust_left) =
                    (output::span(job.running_for), output::span(age), output::span(job.trust_left));
                tracing::info!(target: "work", queue, job = id, name, attempt, running, lock_age, trust_left, "active");
            }
        }
    }

    /// Resolves when no queue has anything left to do. `nudge` makes it look at once.
    pub(crate) async fn drained(looks: Vec<(Queue, Arc<Worker>)>, nudge: Arc<Notify>) {
        loop {
            if let Some(paused) = all_drained(&looks).await {
                for queue in paused {
                    tracing::info!(target: "work", queue, "the queue is paused, and nothing of it is active: taken as drained");
                }
                return;
            }
            let _ = tokio::time::timeout(LOOK_EVERY, nudge.notified()).await;
        }
    }

    pub(crate) fn looks(&self) -> Vec<(Queue, Arc<Worker>)> {
        self.members.iter().map(|member| (member.queue.clone(), Arc::clone(&member.worker))).collect()
    }
}

/// The paused queues, when all queues are drained.
async fn all_drained(looks: &[(Queue, Arc<Worker>)]) -> Option<Vec<String>> {
    let mut paused = Vec::new();
    for (queue, worker) in looks {
        if !worker.is_idle() {
            return None;
        }
        // A store that does not answer is in trouble, not drained; the worker says so.
        let overview = queue.overview().await.ok()?;
        if overview.counts.unfinished() == 0 {
            continue;
        }
        if !overview.paused || overview.counts.active > 0 {
            return None;
        }
        paused.push(queue.name().to_string());
    }
    Some(paused)
}

/// How much longer a lock lives than it is trusted: a tenth of its duration but at least half a second, and at most a
/// quarter.
pub(crate) fn margin(lock_duration: Duration) -> Duration {
    (lock_duration / 10).max(Duration::from_millis(500)).min(lock_duration / 4)
}

/// Turns what the workers say into lines, not too many of them.
pub(crate) fn tell(report: &Report, queue: &str, event: WorkerEvent) {
    match event {
        WorkerEvent::Completed { .. } => report.completed(),
        WorkerEvent::Failed { id, reason, .. } => {
            report.failed();
            report.trouble("failed", |unsaid| {
                tracing::warn!(target: "work", queue, job = id.as_str(), reason = &*short(&reason), unsaid, "a job failed");
            });
        }
        WorkerEvent::Retrying { id, reason, delay, .. } => report.trouble("attempt", |unsaid| {
            let again_in = output::span(delay);
            let reason = &*short(&reason);
            tracing::warn!(target: "work", queue, job = id.as_str(), reason, again_in, unsaid, "an attempt failed");
        }),
        WorkerEvent::LockLost { id, reason, .. } => report.trouble("lock", |unsaid| {
            let why = reason.to_string();
            tracing::warn!(target: "work", queue, job = id.as_str(), why, unsaid, "a job's lock was lost; its command is ended");
        }),
        WorkerEvent::ResultRefused { id, why, .. } => report.trouble("refused", |unsaid| {
            tracing::warn!(target: "work", queue, job = id.as_str(), why, unsaid, "the store refused a job's result");
        }),
        WorkerEvent::Stalled { ids, .. } => report.trouble("stalled", |unsaid| {
            tracing::warn!(target: "work", queue, jobs = ids.len(), unsaid, "jobs whose worker is gone were put back");
        }),
        WorkerEvent::Dropped { id, why, .. } => report.trouble("dropped", |unsaid| {
            tracing::warn!(target: "work", queue, job = id, why, unsaid, "dropped a job that cannot be run");
        }),
        _ => {}
    }
}

/// The end of a long reason, where what matters usually is. The job's record has the whole of it.
fn short(reason: &str) -> Cow<'_, str> {
    const LONGEST: usize = 300;
    let characters = reason.chars().count();
    if characters <= LONGEST {
        return reason.into();
    }
    let end: String = reason.chars().skip(characters - LONGEST).collect();
    format!("…{end}").into()
}

/// One lookup at the start: whether the store is there and lets us in. An error that no waiting mends is answered.
pub(crate) async fn reach(store: &Store, report_lost: impl Fn(&str)) -> Result<(), Failure> {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(2);
    let mut pause = FIRST;
    loop {
        match store.ping().await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_unreachable() => report_lost(&chain(&error)),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_to_its_end() {
        assert_eq!(short("no such user"), "no such user");
        let cut = short(&"ä".repeat(400)).into_owned() + "end";
        assert!(cut.starts_with("…ä") && cut.chars().count() == 304, "{cut}");
    }

    #[test]
    fn the_margin_is_that_of_the_lock_manager() {
        for (lock, expected) in [(1_000, 250), (2_000, 500), (4_000, 500), (30_000, 3_000)] {
            assert_eq!(margin(Duration::from_millis(lock)), Duration::from_millis(expected));
        }
    }
}
