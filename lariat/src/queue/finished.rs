//! Waiting for a job's end: the event stream says when, the job's record says what.

use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Queue;
use crate::error::{Error, ErrorKind};
use crate::id::JobId;
use crate::job::{JobState, StoredJob};

/// How often a job that is waited for is looked at, in case that its event was missed: trimmed from the stream while the
/// store was away, or never written (a bulk clean-up writes none for each job).
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long the event of a job that is not kept may be behind a look that finds it gone.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// After a call that failed; doubled up to a second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Ten years: for ever, and still an instant that can be computed.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How a wait for a job's end ended: [`Queue::wait_for`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Finished {
    /// The job ended well, with this result: JSON, of which `serde_json::from_str(value.get())` makes a value.
    Completed(Box<RawValue>),
    /// The job failed for good, for this reason.
    Failed(String),
    /// There is no such job: it was removed, or never was there.
    Removed,
    /// The time was over before the job had ended.
    TimedOut,
}

impl Finished {
    /// The result, where the job ended well.
    pub fn value(&self) -> Option<&RawValue> {
        match self {
            Finished::Completed(value) => Some(value),
            _ => None,
        }
    }
}

impl Queue {
    /// Waits until a job has ended, at most for `longest` (None: as long as it takes), and says how (BullMQ's
    /// `waitUntilFinished`).
    ///
    /// A job that has ended before is answered for at once, from its record. While the store does not answer it waits on;
    /// that is an error only where the store does not answer when the time is over (it may then take as much longer as a
    /// call to the store may, a few seconds). Other errors are the store's. A job
    /// that is [not kept](crate::Keep) has to be waited for before it ends, or it reads as
    /// [`Removed`](Finished::Removed); so has one that may be made ready again meanwhile. Cancel safe.
    ///
    /// All who wait on one `Queue` and its clones share one reader of the event stream, with a connection of its own.
    ///
    /// ```no_run
    /// # async fn example(mail: lariat::Queue) -> Result<(), lariat::Error> {
    /// use std::time::Duration;
    /// use lariat::Finished;
    ///
    /// let id = mail.add("welcome", &"ada@example.org").await?;
    /// match mail.wait_for(&id, Duration::from_secs(30)).await? {
    ///     Finished::Completed(value) => println!("{value}"),
    ///     Finished::Failed(reason) => eprintln!("failed: {reason}"),
    ///     other => eprintln!("{other:?}"),
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn wait_for(&self, id: &JobId, longest: impl Into<Option<Duration>>) -> Result<Finished, Error> {
        let until = Instant::now() + longest.into().map_or(FOR_EVER, |longest| longest.min(FOR_EVER));
        let about = |error: Error| error.in_queue(&self.name).for_job(id);
        let mut waiting = self.watch.wait_for(id).map_err(about)?;
        // In this order, or an end between the look and the subscription would be missed. While the stream cannot be
        // read, the looks find the end.
        let mut reading = waiting.reading.clone();
        let soon = until.min(Instant::now() + LOOK_AGAIN);
        let subscribed = tokio::time::timeout_at(soon, reading.wait_for(|reading| *reading));
        tokio::select! {
            biased;
            ended = &mut waiting.ended => return ended_or(ended).map_err(about),
            _ = subscribed => {}
        }
        let mut pause = FIRST_PAUSE;
        loop {
            let again = match self.backend.job(id).await {
                Ok(job) => match ended(job) {
                    Some(Finished::Removed) => {
                        // A job that is not kept has ended, perhaps, and its event is on its way.
                        let last_words = tokio::time::timeout(LAST_WORDS, &mut waiting.ended);
                        return last_words.await.map_or(Ok(Finished::Removed), ended_or).map_err(about);
                    }
                    Some(finished) => return Ok(finished),
                    None if Instant::now() >= until => return Ok(Finished::TimedOut),
                    None => LOOK_AGAIN,
                },
                Err(error) if error.is_unreachable() && Instant::now() < until => {
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    pause
                }
                Err(error) => return Err(about(error)),
            };
            tokio::select! {
                biased;
                ended = &mut waiting.ended => return ended_or(ended).map_err(about),
                () = tokio::time::sleep_until(until.min(Instant::now() + again)) => {}
            }
        }
    }
}

/// What a record says; None where the job has not ended.
fn ended(job: Option<StoredJob>) -> Option<Finished> {
    let Some(StoredJob { record, state }) = job else { return Some(Finished::Removed) };
    match state {
        Some(JobState::Completed) => {
            // Without one it is `null`.
            Some(Finished::Completed(record.return_value.unwrap_or_default()))
        }
        Some(JobState::Failed) => Some(Finished::Failed(record.failed_reason.unwrap_or_default())),
        _ => None,
    }
}

/// The reader's answer; it ends without one only with its runtime.
fn ended_or(answer: Result<Result<Finished, Error>, oneshot::error::RecvError>) -> Result<Finished, Error> {
    answer.unwrap_or_else(|_| Err(Error::new(ErrorKind::Closed, "the runtime that read the queue's events has ended")))
}
