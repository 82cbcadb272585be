//! What was added: lists, and assertions over them.

use std::fmt::Write as _;
use std::future::Future;
use std::panic::Location;

use serde::Serialize;
use serde_json::Value;

use super::TestStore;
use crate::error::Error;
use crate::job::{JobRecord, JobState, StoredJob};
use crate::queue::Queue;

/// More than a test adds.
const MOST_JOBS: u64 = 1 << 20;
/// How many jobs a failure lists.
const MOST_LISTED: usize = 20;
/// How much of a payload a failure shows.
const MOST_SHOWN: usize = 200;

impl TestStore {
    /// All jobs of a queue, whatever became of them, in the order in which they were added (those with ids of their own last
    /// among those of the same time). Ended jobs that are not kept are gone.
    pub async fn jobs(&self, queue: &str) -> Result<Vec<StoredJob>, Error> {
        let queue = Queue::new(self, queue)?;
        let mut jobs = Vec::new();
        for state in JobState::ALL {
            let page = queue.jobs(state, 0, MOST_JOBS).await?;
            jobs.extend(page.jobs.into_iter().map(|record| StoredJob { record, state: Some(state) }));
        }
        jobs.sort_by_key(|job| {
            let id = job.record.id.as_str();
            (job.record.timestamp, id.parse().unwrap_or(u64::MAX), id.to_owned())
        });
        Ok(jobs)
    }

    /// Asserts that a job with this name and exactly this payload (as JSON) was added to the queue; hands out the first such
    /// job, to look at its options.
    ///
    /// For payloads of which only a part is known, look through [`jobs`](Self::jobs).
    ///
    /// # Panics
    ///
    /// Where there is no such job: with where this was called, and what the queue has.
    #[track_caller]
    pub fn assert_added<'a, T: Serialize + ?Sized>(
        &'a self,
        queue: &'a str,
        name: &'a str,
        data: &T,
    ) -> impl Future<Output = StoredJob> + Send + 'a {
        let (at, data) = (Location::caller(), serde_json::to_value(data));
        async move {
            let data = data.unwrap_or_else(|e| fails(at, &format!("the payload cannot be written as JSON: {e}")));
            let jobs = self.jobs(queue).await.unwrap_or_else(|e| fails(at, &e.to_string()));
            let found = jobs.iter().find(|job| job.record.name == name && has(&job.record, &data)).cloned();
            let Some(job) = found else {
                let listed = self.listed(queue, &jobs).await;
                let data = shown(&data.to_string());
                fails(at, &format!("no job {name:?} with the payload {data} was added to queue {queue:?}{listed}"))
            };
            job
        }
    }

    /// Asserts that no job with this name was added to the queue, whatever its payload.
    ///
    /// # Panics
    ///
    /// Where there is one: with where this was called, and what the queue has.
    #[track_caller]
    pub fn assert_not_added<'a>(&'a self, queue: &'a str, name: &'a str) -> impl Future<Output = ()> + Send + 'a {
        let at = Location::caller();
        async move {
            let jobs = self.jobs(queue).await.unwrap_or_else(|e| fails(at, &e.to_string()));
            if jobs.iter().any(|job| job.record.name == name) {
                let listed = self.listed(queue, &jobs).await;
                fails(at, &format!("a job {name:?} was added to queue {queue:?}{listed}"));
            }
        }
    }

    /// What a queue has; or, where it has nothing, which queues have something.
    async fn listed(&self, queue: &str, jobs: &[StoredJob]) -> String {
        if jobs.is_empty() {
            let queues = self.queues().await.unwrap_or_default();
            let names: Vec<_> = queues.iter().filter(|name| name.as_str() != queue).map(ToString::to_string).collect();
            return match names.as_slice() {
                [] => ", nor any to another queue".to_owned(),
                names => format!(", which is empty; there are jobs in: {}", names.join(", ")),
            };
        }
        let mut text = format!(", which has {}:", jobs.len());
        for StoredJob { record, state } in jobs.iter().take(MOST_LISTED) {
            let state = state.map_or("in no state", JobState::as_str);
            let data = shown(record.data.get());
            // Writing to a string cannot fail.
            let _ = write!(text, "\n  job {} {:?} {data}, {state}", record.id, record.name);
            if !record.delay.is_zero() {
                let _ = write!(text, " by {:?}", record.delay);
            }
        }
        match jobs.len().saturating_sub(MOST_LISTED) {
            0 => {}
            more => {
                let _ = write!(text, "\n  and {more} more");
            }
        }
        text
    }
}

fn has(record: &JobRecord, data: &Value) -> bool {
    serde_json::from_str::<Value>(record.data.get()).is_ok_and(|found| found == *data)
}

fn shown(json: &str) -> String {
    match json.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}…", &json[..end]),
        None => json.to_owned(),
    }
}

#[expect(clippy::panic, reason = "an assertion reports by panicking")]
fn fails(at: &Location<'_>, words: &str) -> ! {
    // A future is polled elsewhere than it is made: the panic itself would name this line.
    panic!("{at}: {words}")
}
