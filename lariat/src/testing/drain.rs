//! Working a queue off, one job at a time, and what became of each.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use serde_json::Value;

use super::TestStore;
use crate::error::{Error, ErrorKind};
use crate::id::JobId;
use crate::queue::{ManualBuilder, Ran, Received};
use crate::store::exchange::{DelayedAttempt, Hint, Transition};
use crate::worker::{Handler, Worker, WorkerBuilder};

/// After how many runs a queue counts as one without an end: of one job, and of all.
const MOST_OF_ONE: usize = 1000;
const MOST_RUNS: usize = 100_000;

/// What a [`drain`](TestStore::drain) has run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Drained {
    /// The runs, in their order. A job that was tried several times has several.
    pub runs: Vec<Run>,
}

/// One run of one job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Run {
    /// The job.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Which attempt it was: 1 for the first.
    pub attempt: u32,
    /// How it ended.
    pub end: RunEnd,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RunEnd {
    /// Done, with this result.
    Completed(Value),
    /// Failed for good, for this reason.
    Failed(String),
    /// The attempt failed, and there will be another.
    Retrying {
        /// Why it failed.
        reason: String,
        /// When it is tried again.
        delay: Duration,
    },
    /// The handler delayed the job.
    Delayed(Duration),
    /// The handler put the job back.
    PutBack,
    /// The job waits for its children, or goes on at once where it has none.
    WaitingForChildren,
    /// What became of it was not taken in, for this reason: the job's lock was lost, say, or the job removed meanwhile.
    Refused(String),
}

impl TestStore {
    /// Runs the handler (a [`Router`](crate::Router) as well) for each job of the queue that is ready by the store's clock,
    /// those included that become so on the way: jobs that a handler adds, attempts that are to be made again at once.
    /// One at a time, in the order in which a single worker would take them.
    ///
    /// Rate limits are not waited for: where one is reached, what it counted is forgotten. A queue that is paused stays so, and
    /// nothing runs.
    ///
    /// Delayed jobs stay until the test has [moved the clock](TestStore::advance). A handler that panics, by a failed
    /// `assert` say, is a failed attempt as it is in a worker: [`Drained::assert_all_completed`] tells. An error where
    /// there is no end: after 1,000 runs of one job, or 100,000 of all.
    pub async fn drain<H: Handler>(&self, queue: &str, handler: H) -> Result<Drained, Error> {
        self.drain_as(Worker::builder(self, queue), handler).await
    }

    /// [`drain`](Self::drain), then moves the clock to when the next job is due, and so on until the queue has nothing left
    /// to run.
    pub async fn drain_to_end<H: Handler>(&self, queue: &str, handler: H) -> Result<Drained, Error> {
        self.work(Worker::builder(self, queue), &handler, Pace::ToTheEnd).await
    }

    /// [`drain`](Self::drain) with the options of a worker: its backoff strategy, its timeout, its rate limit, what it keeps.
    /// Its concurrency counts for nothing here. The builder is to be of this store.
    pub async fn drain_as<H: Handler>(&self, worker: WorkerBuilder, handler: H) -> Result<Drained, Error> {
        self.work(worker, &handler, Pace::WhatIsReady).await
    }

    /// [`drain_to_end`](Self::drain_to_end) with the options of a worker.
    pub async fn drain_to_end_as<H: Handler>(&self, worker: WorkerBuilder, handler: H) -> Result<Drained, Error> {
        self.work(worker, &handler, Pace::ToTheEnd).await
    }

    async fn work(&self, worker: WorkerBuilder, handler: &dyn Handler, pace: Pace) -> Result<Drained, Error> {
        let builder = ManualBuilder::like(worker);
        if !builder.goes_by(&self.clock) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the worker to drain as is one of another store, not of this test's",
            ));
        }
        let hands = builder.start()?;
        let mut runs = Vec::new();
        let mut goes_on = None;
        let mut times: HashMap<JobId, usize> = HashMap::new();
        loop {
            let taken = match goes_on.take() {
                Some(taken) => taken,
                None => match hands.next().await? {
                    Received::Job(taken) => taken,
                    Received::Nothing(Hint::Again) => continue,
                    Received::Nothing(Hint::DueAt(due)) if pace == Pace::ToTheEnd => {
                        self.clock.move_to(due);
                        continue;
                    }
                    Received::Nothing(Hint::LimitedFor(_)) => {
                        hands.forget_starts().await?;
                        continue;
                    }
                    Received::Nothing(_) => return Ok(Drained { runs }),
                },
            };
            let job = taken.job();
            let (id, name, attempt) = (job.id().clone(), job.name().to_owned(), job.attempt());
            let end = match taken.run(handler).await {
                Ok(Ran::Ended(to)) => RunEnd::from(to),
                Ok(Ran::GoesOn(taken)) => {
                    goes_on = Some(taken);
                    RunEnd::WaitingForChildren
                }
                Err(error) => RunEnd::Refused(error.to_string()),
            };
            let times = times.entry(id.clone()).or_default();
            *times += 1;
            runs.push(Run { id, name, attempt, end });
            if *times >= MOST_OF_ONE || runs.len() >= MOST_RUNS {
                return Err(without_end(&runs).in_queue(hands.queue()));
            }
        }
    }
}

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    WhatIsReady,
    ToTheEnd,
}

fn without_end(runs: &[Run]) -> Error {
    let last: Vec<_> = runs.iter().rev().take(3).map(Run::to_string).collect();
    let words = format!("{} runs and still jobs to run; the last were: {}", runs.len(), last.join("; "));
    Error::new(ErrorKind::Invalid, words)
}

impl From<Transition> for RunEnd {
    fn from(to: Transition) -> RunEnd {
        match to {
            // It was written as JSON just now.
            Transition::Complete { value, .. } => {
                RunEnd::Completed(serde_json::from_str(value.get()).unwrap_or_default())
            }
            Transition::Fail { failure, .. } => RunEnd::Failed(failure.reason),
            Transition::Retry { failure, .. } => RunEnd::Retrying { reason: failure.reason, delay: Duration::ZERO },
            Transition::Delay { delay, attempt: DelayedAttempt::Failed(failure) } => {
                RunEnd::Retrying { reason: failure.reason, delay }
            }
            Transition::Delay { delay, attempt: DelayedAttempt::NotUsed } => RunEnd::Delayed(delay),
            Transition::WaitForChildren => RunEnd::WaitingForChildren,
            Transition::PutBack => RunEnd::PutBack,
        }
    }
}

impl Drained {
    /// The runs of one job, in their order.
    pub fn of<'a>(&'a self, id: &'a JobId) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().filter(move |run| run.id == *id)
    }

    /// How each job's last run ended, in the order in which the jobs first ran.
    pub fn jobs(&self) -> Vec<&Run> {
        let mut last: Vec<&Run> = Vec::new();
        for run in &self.runs {
            match last.iter_mut().find(|known| known.id == run.id) {
                Some(known) => *known = run,
                None => last.push(run),
            }
        }
        last
    }

    /// Asserts that jobs ran, and that each one's last run completed it.
    ///
    /// # Panics
    ///
    /// With what became of the jobs that did not complete; and where nothing ran at all, which would hide a misspelt queue.
    #[track_caller]
    pub fn assert_all_completed(&self) -> &Drained {
        let jobs = self.jobs();
        assert!(!jobs.is_empty(), "no job was ready to run");
        let others: Vec<_> = jobs.iter().filter(|run| !matches!(run.end, RunEnd::Completed(_))).collect();
        let mut listed = String::new();
        for run in &others {
            // Writing to a string cannot fail.
            let _ = write!(listed, "\n  {run}");
        }
        assert!(others.is_empty(), "{} of {} jobs did not complete:{listed}", others.len(), jobs.len());
        self
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {} {:?}, attempt {}: {}", self.id, self.name, self.attempt, self.end)
    }
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunEnd::Completed(value) => write!(f, "completed with {value}"),
            RunEnd::Failed(reason) => write!(f, "failed: {reason}"),
            RunEnd::Retrying { reason, delay } => write!(f, "to be tried again in {delay:?}: {reason}"),
            RunEnd::Delayed(delay) => write!(f, "delayed for {delay:?}"),
            RunEnd::PutBack => f.write_str("put back"),
            RunEnd::WaitingForChildren => f.write_str("waiting for its children"),
            RunEnd::Refused(why) => write!(f, "what became of it was refused: {why}"),
        }
    }
}
