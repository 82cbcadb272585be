//! One reader of a queue's events for all who wait for its jobs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::finished::Finished;
use crate::error::{Error, ErrorKind};
use crate::events::{EventKind, QueueEvent};
use crate::id::{JobId, QueueName};
use crate::store::{EventStore, Store};

/// How many events one call brings, and how long it waits for the first.
const AT_A_TIME: usize = 500;
const READ_FOR: Duration = Duration::from_secs(10);
/// After a call that failed; doubled up to a second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

type Answer = oneshot::Sender<Result<Finished, Error>>;

/// All who wait for jobs of one queue, and the reader that they share.
pub(super) struct Watch {
    events: Arc<dyn EventStore>,
    waiting: Mutex<Waiting>,
    /// Whether the reader knows from where it reads: what happens from then on is heard.
    reading: watch::Sender<bool>,
}

#[derive(Default)]
struct Waiting {
    jobs: HashMap<JobId, HashMap<u64, Answer>>,
    number: u64,
    /// Whether a reader runs. It ends when nobody waits.
    read: bool,
}

/// One who waits. Dropping it ends the wait.
pub(super) struct Waiter {
    watch: Arc<Watch>,
    id: JobId,
    number: u64,
    pub ended: oneshot::Receiver<Result<Finished, Error>>,
    pub reading: watch::Receiver<bool>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.watch.lock();
        if let Some(answers) = waiting.jobs.get_mut(&self.id) {
            answers.remove(&self.number);
            if answers.is_empty() {
                waiting.jobs.remove(&self.id);
            }
        }
    }
}

impl Watch {
    pub(super) fn new(store: &Store, queue: &QueueName) -> Result<Watch, Error> {
        Ok(Watch { events: store.event_store(queue)?, waiting: Mutex::default(), reading: watch::Sender::new(false) })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits from here on, with a reader that runs.
    pub(super) fn wait_for(self: &Arc<Self>, id: &JobId) -> Result<Waiter, Error> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|e| Error::new(ErrorKind::Invalid, "waiting for a job needs a Tokio runtime").because(e))?;
        let (answer, ended) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.number += 1;
        let number = waiting.number;
        waiting.jobs.entry(id.clone()).or_default().insert(number, answer);
        if !waiting.read {
            waiting.read = true;
            self.reading.send_replace(false);
            runtime.spawn(Reader { watch: Arc::clone(self), done: false }.run());
        }
        Ok(Waiter { watch: Arc::clone(self), id: id.clone(), number, ended, reading: self.reading.subscribe() })
    }

    /// Tells those who wait for this job.
    fn tell(&self, id: &JobId, answer: &Result<Finished, Error>) {
        let answers = self.lock().jobs.remove(id).unwrap_or_default();
        for waiting in answers.into_values() {
            // Whoever stopped waiting does not want to know.
            drop(waiting.send(match answer {
                Ok(finished) => Ok(finished.clone()),
                Err(error) => Err(error.echo()),
            }));
        }
    }
}

/// The one that reads. When its task is dropped with its runtime, those who wait are told, and the next to wait, on
/// another runtime, starts another.
struct Reader {
    watch: Arc<Watch>,
    done: bool,
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.done {
            let mut waiting = self.watch.lock();
            waiting.read = false;
            waiting.jobs.clear();
        }
    }
}

impl Reader {
    async fn run(mut self) {
        self.read().await;
        self.done = true;
    }

    async fn read(&self) {
        let watch = &self.watch;
        let mut after: Option<String> = None;
        let mut pause = FIRST_PAUSE;
        while self.is_wanted() {
            let read = match &after {
                None => watch.events.events(None, 0, Duration::ZERO).await,
                Some(after) => watch.events.events(Some(after), AT_A_TIME, READ_FOR).await,
            };
            match read {
                Ok(read) => {
                    after = Some(read.upto);
                    watch.reading.send_replace(true);
                    for event in read.events {
                        self.hear(QueueEvent::from_stored(event));
                    }
                    pause = FIRST_PAUSE;
                }
                Err(error) if error.is_unreachable() => {
                    tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => {
                    let ids: Vec<_> = watch.lock().jobs.keys().cloned().collect();
                    let error = Err(error);
                    for id in &ids {
                        watch.tell(id, &error);
                    }
                }
            }
        }
    }

    /// Whether anybody waits; if not, the next who does starts another reader.
    fn is_wanted(&self) -> bool {
        let mut waiting = self.watch.lock();
        waiting.read = !waiting.jobs.is_empty();
        waiting.read
    }

    fn hear(&self, event: QueueEvent) {
        let (id, finished) = match event.kind {
            EventKind::Completed { job, value } => (job, Finished::Completed(value)),
            EventKind::Failed { job, reason } => (job, Finished::Failed(reason)),
            EventKind::Removed { job } => (job, Finished::Removed),
            _ => return,
        };
        self.watch.tell(&id, &Ok(finished));
    }
}
