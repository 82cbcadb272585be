//! The producer's lane: one call in flight, and what is added meanwhile rides in the next.
//!
//! A lone add drives the lane itself, as part of its caller's future: a task of its own would cost it a thread switch or
//! two. As soon as a second add waits, a task takes over, so that nobody depends on another caller's future being polled;
//! the same when the caller drops its future half-way.

mod driver;

use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::Instant;

use self::driver::Driver;
use crate::error::{Error, ErrorKind, Refusal};
use crate::id::JobId;
use crate::store::QueueBackend;
use crate::store::change::{AddJob, MOST_ADDED_BYTES};

const PATIENCE: Duration = Duration::from_secs(5);
/// Ten years: for ever, and still an instant that can be computed.
const LONGEST_PATIENCE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

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
    drive: Drive,
    /// How many parties ride in the present call.
    aboard: usize,
    /// The number of the last call.
    number: u64,
}

/// Who drives the lane. A drive ends when nothing waits, so that an idle queue holds nothing.
#[derive(Default)]
enum Drive {
    #[default]
    Idle,
    /// The caller that began it polls it, has left it here since, and will find it here unless somebody else needs it.
    Left { driving: Driving, caller: Option<Waker> },
    /// A task has it for good, or its caller polls it at this moment.
    Taken,
}

/// A drive under way.
struct Driving {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Where it was begun: its timers are of this runtime.
    runtime: Handle,
}

impl Driving {
    /// Goes on with it in a task of its own. Not to be called with the state locked: on a runtime that has ended the
    /// drive is dropped at once.
    fn spawn(self) {
        self.runtime.spawn(self.future);
    }
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
        let most = self.shared.backend.most_added();
        while jobs.peek().is_some() {
            let mut bytes = 0;
            let mut party = Vec::new();
            while let Some(job) =
                jobs.next_if(|job| party.is_empty() || bytes + job.data.get().len() <= MOST_ADDED_BYTES)
            {
                bytes += job.data.get().len();
                party.push(job);
                if party.len() == most {
                    break;
                }
            }
            ids.append(&mut self.send(party)?.answered().await?);
        }
        Ok(ids)
    }

    fn send(&self, jobs: Vec<AddJob>) -> Result<Receipt, Error> {
        let runtime = Handle::try_current()
            .map_err(|e| Error::new(ErrorKind::Invalid, "adding a job needs a Tokio runtime").because(e))?;
        let (answer, receipt) = oneshot::channel();
        let bytes = jobs.iter().map(|job| job.data.get().len()).sum();
        let mut state = self.shared.lock();
        state.waiting.push_back(Party { jobs, bytes, until: Instant::now() + self.patience, answer });
        let seat = match mem::replace(&mut state.drive, Drive::Taken) {
            Drive::Idle => {
                let future = Box::pin(Driver::new(Arc::clone(&self.shared)).drive());
                state.drive = Drive::Left { driving: Driving { future, runtime }, caller: None };
                Some(Seat(Arc::clone(&self.shared)))
            }
            Drive::Left { driving, caller } => {
                // Its caller need not poll it again before it has done something else: this add must not wait for that.
                drop(state);
                driving.spawn();
                // So far the drive would have woken it; from now on its answer does.
                if let Some(caller) = caller {
                    caller.wake();
                }
                None
            }
            Drive::Taken => None,
        };
        Ok(Receipt { answer: receipt, seat })
    }
}

/// What an add waits with.
struct Receipt {
    answer: oneshot::Receiver<Added>,
    /// Where this add began the drive.
    seat: Option<Seat>,
}

impl Receipt {
    async fn answered(mut self) -> Result<Vec<JobId>, Error> {
        let answer = std::future::poll_fn(|context| {
            if self.seat.as_ref().is_some_and(|seat| seat.drives(context)) {
                // Not polled: the answer would wake the very task that is just giving it, and another thread with it.
                return match self.answer.try_recv() {
                    Err(TryRecvError::Empty) => Poll::Pending,
                    answer => Poll::Ready(answer.map_err(drop)),
                };
            }
            Pin::new(&mut self.answer).poll(context).map_err(drop)
        });
        let answers = answer
            .await
            .map_err(|()| Error::new(ErrorKind::Unknown, "the runtime ended before the store answered"))??;
        answers.into_iter().map(|answer| answer.map_err(Error::refused)).collect()
    }
}

/// A caller's part in the drive that it began. Should it find another's instead, because its own was taken over and is
/// done, nothing is lost: it polls it, has its answer, and is dropped, which sees to the rest.
struct Seat(Arc<Shared>);

impl Seat {
    /// The drive, where nobody else has taken it.
    fn take(&self) -> Option<Driving> {
        let mut state = self.0.lock();
        match mem::replace(&mut state.drive, Drive::Taken) {
            Drive::Left { driving, .. } => Some(driving),
            other => {
                state.drive = other;
                None
            }
        }
    }

    /// Polls the drive; whether it will wake the caller again.
    fn drives(&self, context: &mut Context<'_>) -> bool {
        let Some(mut driving) = self.take() else { return false };
        if let Poll::Ready(()) = driving.future.as_mut().poll(context) {
            return false;
        }
        let mut state = self.0.lock();
        if state.waiting.is_empty() && state.aboard < 2 {
            state.drive = Drive::Left { driving, caller: Some(context.waker().clone()) };
            true
        } else {
            // Somebody came while it was being polled, and left it to us to see to it; perhaps in time for this very call.
            drop(state);
            driving.spawn();
            false
        }
    }
}

/// The caller has its answer, or does not wait for it any more: what is under way goes on without it.
impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(driving) = self.take() {
            driving.spawn();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next call's parties and number; None, and the drive over, when nothing waits.
    fn next(&self) -> Option<(Vec<Party>, u64)> {
        let mut state = self.lock();
        let mut parties: Vec<Party> = Vec::new();
        let (mut jobs, mut bytes) = (0, 0);
        while let Some(party) = state.waiting.front() {
            let fits = jobs + party.jobs.len() <= self.backend.most_added() && bytes + party.bytes <= MOST_ADDED_BYTES;
            if !parties.is_empty() && !fits {
                break;
            }
            jobs += party.jobs.len();
            bytes += party.bytes;
            parties.extend(state.waiting.pop_front());
        }
        if parties.is_empty() {
            state.drive = Drive::Idle;
            return None;
        }
        state.number += 1;
        state.aboard = parties.len();
        Some((parties, state.number))
    }
}
