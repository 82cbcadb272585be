//! The producer's lane: one call in flight, and what is added meanwhile rides in the next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Refusal};
use crate::id::JobId;
use crate::store::QueueBackend;
use crate::store::change::{Add, AddJob, MOST_ADDED, MOST_ADDED_BYTES};
use crate::store::exchange::LaneCall;

const PATIENCE: Duration = Duration::from_secs(5);
/// Ten years: for ever, and still an instant that can be computed.
const LONGEST_PATIENCE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// First pause before a call is repeated; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

type Added = Result<Vec<Result<JobId, Refusal>>, Error>;

/// Cheap to clone; clones ride in the same calls.
#[derive(Clone)]
pub(super) struct AddLane {
    shared: Arc<Shared>,
    patience: Duration,
}

struct Shared {
    backend: Arc<dyn QueueBackend>,
    base: Arc<str>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Party>,
    /// Whether a task is driving the lane. It ends when nothing waits, so that an idle queue holds no task.
    driven: bool,
    /// The number of the last call.
    number: u64,
}

/// Jobs that were added together and are answered together.
struct Party {
    jobs: Vec<AddJob>,
    bytes: usize,
    until: Instant,
    answer: oneshot::Sender<Added>,
}

impl AddLane {
    pub(super) fn new(backend: Arc<dyn QueueBackend>) -> AddLane {
        let base = uuid::Uuid::new_v4().to_string().into();
        AddLane { shared: Arc::new(Shared { backend, base, state: Mutex::default() }), patience: PATIENCE }
    }

    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience.min(LONGEST_PATIENCE);
    }

    pub(super) async fn add(&self, job: AddJob) -> Result<JobId, Error> {
        let mut ids = self.send(vec![job])?.answered().await?;
        ids.pop().ok_or_else(|| Error::new(ErrorKind::Store, "the store answered an add with no id"))
    }

    pub(super) async fn add_all(&self, jobs: Vec<AddJob>) -> Result<Vec<JobId>, Error> {
        let mut ids = Vec::with_capacity(jobs.len());
        let mut jobs = jobs.into_iter().peekable();
        while jobs.peek().is_some() {
            let mut bytes = 0;
            let mut party = Vec::new();
            while let Some(job) =
                jobs.next_if(|job| party.is_empty() || bytes + job.data.get().len() <= MOST_ADDED_BYTES)
            {
                bytes += job.data.get().len();
                party.push(job);
                if party.len() == MOST_ADDED {
                    break;
                }
            }
            ids.append(&mut self.send(party)?.answered().await?);
        }
        Ok(ids)
    }

    fn send(&self, jobs: Vec<AddJob>) -> Result<Receipt, Error> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|e| Error::new(ErrorKind::Invalid, "adding a job needs a Tokio runtime").because(e))?;
        let (answer, receipt) = oneshot::channel();
        let bytes = jobs.iter().map(|job| job.data.get().len()).sum();
        let party = Party { jobs, bytes, until: Instant::now() + self.patience, answer };
        let mut state = self.shared.lock();
        state.waiting.push_back(party);
        if !state.driven {
            state.driven = true;
            let driver = Driver { shared: Arc::clone(&self.shared), done: false };
            drop(state);
            runtime.spawn(driver.drive());
        }
        Ok(Receipt(receipt))
    }
}

struct Receipt(oneshot::Receiver<Added>);

impl Receipt {
    async fn answered(self) -> Result<Vec<JobId>, Error> {
        let answers = self
            .0
            .await
            .map_err(|_| Error::new(ErrorKind::Unknown, "the runtime ended before the store answered"))??;
        answers.into_iter().map(|answer| answer.map_err(Error::refused)).collect()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next call's parties and number; None, and undriven, when nothing waits.
    fn next(&self) -> Option<(Vec<Party>, u64)> {
        let mut state = self.lock();
        let mut parties: Vec<Party> = Vec::new();
        let (mut jobs, mut bytes) = (0, 0);
        while let Some(party) = state.waiting.front() {
            let fits = jobs + party.jobs.len() <= MOST_ADDED && bytes + party.bytes <= MOST_ADDED_BYTES;
            if !parties.is_empty() && !fits {
                break;
            }
            jobs += party.jobs.len();
            bytes += party.bytes;
            parties.extend(state.waiting.pop_front());
        }
        if parties.is_empty() {
            state.driven = false;
            return None;
        }
        state.number += 1;
        Some((parties, state.number))
    }
}

/// Drives the lane; when its task is dropped with its runtime, those who wait are told and the next add, on another
/// runtime, drives it again.
struct Driver {
    shared: Arc<Shared>,
    done: bool,
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.done {
            let mut state = self.shared.lock();
            state.driven = false;
            state.waiting.clear();
        }
    }
}

impl Driver {
    async fn drive(mut self) {
        while let Some((mut parties, number)) = self.shared.next() {
            let mut sizes = Vec::with_capacity(parties.len());
            let mut all = Vec::new();
            for party in &mut parties {
                sizes.push(party.jobs.len());
                all.append(&mut party.jobs);
            }
            let until = parties.iter().map(|party| party.until).max().unwrap_or_else(Instant::now);
            let call = LaneCall { base: Arc::clone(&self.shared.base), number };
            let answer = self.call(&Add { call, jobs: all }, until).await;
            share(parties, &sizes, answer);
        }
        self.done = true;
    }

    /// Repeats the call under its number until it is answered or nobody waits for it any more.
    async fn call(&self, add: &Add, until: Instant) -> Added {
        let mut pause = FIRST_PAUSE;
        let mut may_have_run = false;
        loop {
            match self.shared.backend.add(add).await {
                Ok(ids) => return Ok(ids),
                Err(error) => {
                    may_have_run |= error.is_unknown();
                    if !error.is_unreachable() || Instant::now() + pause >= until {
                        // A later refusal to connect does not undo that an earlier sending may have run.
                        let doubt = may_have_run && !error.is_unknown() && error.is_unreachable();
                        return Err(if doubt {
                            Error::new(
                                ErrorKind::Unknown,
                                "the store was lost while adding; the job may or may not be there",
                            )
                            .because(error)
                        } else {
                            error
                        });
                    }
                }
            }
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Gives each party its part of the answer.
fn share(parties: Vec<Party>, sizes: &[usize], answer: Added) {
    match answer {
        Ok(ids) => {
            let mut ids = ids.into_iter();
            for (party, size) in parties.into_iter().zip(sizes) {
                let part: Vec<_> = ids.by_ref().take(*size).collect();
                let part = if part.len() == *size {
                    Ok(part)
                } else {
                    Err(Error::new(ErrorKind::Store, "the store answered an add with too few ids"))
                };
                // Whoever dropped the add does not want to know.
                drop(party.answer.send(part));
            }
        }
        Err(error) => {
            for party in parties {
                drop(party.answer.send(Err(error.echo())));
            }
        }
    }
}
