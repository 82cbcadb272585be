//! Looking into a queue.

use super::Queue;
use crate::error::Error;
use crate::id::JobId;
use crate::job::{JobState, StoredJob};
use crate::store::view::{HeldJob, JobPage, LogPage, Metrics, Overview, Page, WorkerInfo};

/// Reading. Each method is one call, and sees one moment; only pages of more than 1000 jobs take several, and may miss or
/// repeat jobs that move meanwhile.
impl Queue {
    /// A job and its state as they are now; None where there is no such job.
    pub async fn job(&self, id: &JobId) -> Result<Option<StoredJob>, Error> {
        self.backend.job(id).await.map_err(|e| e.in_queue(&self.name).for_job(id))
    }

    /// Whether the queue is paused, how many jobs are in each state, and its limits.
    pub async fn overview(&self) -> Result<Overview, Error> {
        self.backend.overview().await.map_err(|e| e.in_queue(&self.name))
    }

    /// The jobs of one state: `count` of them behind the first `from`, in the order in which they will run or came to be
    /// in that state. [`JobPage::next`] is the `from` of the page behind.
    pub async fn jobs(&self, state: JobState, from: u64, count: u64) -> Result<JobPage, Error> {
        self.page(Page { state, from, count, oldest_first: true }).await
    }

    /// [`jobs`](Self::jobs) in the reverse order: the newest first.
    pub async fn newest_jobs(&self, state: JobState, from: u64, count: u64) -> Result<JobPage, Error> {
        self.page(Page { state, from, count, oldest_first: false }).await
    }

    async fn page(&self, page: Page) -> Result<JobPage, Error> {
        self.backend.page(&page).await.map_err(|e| e.in_queue(&self.name))
    }

    /// How many ready jobs there are of each of these priorities, in their order; 0 is none (BullMQ's
    /// `getCountsPerPriority`).
    pub async fn counts_per_priority(&self, priorities: &[u32]) -> Result<Vec<u64>, Error> {
        self.backend.priorities(priorities).await.map_err(|e| e.in_queue(&self.name))
    }

    /// Rows of a job's log, oldest first: `count` of them behind the first `from`, and how many there are. No rows where
    /// there is no such job.
    pub async fn logs(&self, id: &JobId, from: u64, count: u64) -> Result<LogPage, Error> {
        self.backend.logs(id, from, count).await.map_err(|e| e.in_queue(&self.name).for_job(id))
    }

    /// The active jobs and who holds them, longest held first, `most` at most.
    pub async fn locks(&self, most: u64) -> Result<Vec<HeldJob>, Error> {
        self.backend.held(most).await.map_err(|e| e.in_queue(&self.name))
    }

    /// The workers that are connected, those of other BullMQ clients included (BullMQ's `getWorkers`). Some hosted
    /// services do not list connections; they answer with an error.
    pub async fn workers(&self) -> Result<Vec<WorkerInfo>, Error> {
        self.backend.workers().await.map_err(|e| e.in_queue(&self.name))
    }

    /// How many jobs ended in this state ([`Completed`](JobState::Completed) or [`Failed`](JobState::Failed)) in each of
    /// the last `minutes` minutes for which a worker kept metrics (BullMQ's `getMetrics`).
    pub async fn metrics(&self, state: JobState, minutes: u64) -> Result<Metrics, Error> {
        if !matches!(state, JobState::Completed | JobState::Failed) {
            return Err(Error::invalid("state", state, "must be completed or failed").in_queue(&self.name));
        }
        self.backend.metrics(state, minutes).await.map_err(|e| e.in_queue(&self.name))
    }
}
