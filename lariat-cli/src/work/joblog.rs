//! A command's stderr on its way to the job's log.

use std::sync::Arc;
use std::time::Duration;

use lariat::Job;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::report::Report;

/// Rows that travel in one call.
const BATCH: usize = 100;
/// The wait before rows are sent again that certainly have not arrived.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Rows go to the store as they come, as many at a time as have come meanwhile.
pub(crate) struct JobLog(JoinHandle<()>);

impl JobLog {
    /// The sender's end may hold as much as a command may log, so that a slow store does not keep the command waiting.
    pub(crate) fn open(job: Job, report: Arc<Report>) -> (mpsc::UnboundedSender<String>, JobLog) {
        let (sender, rows) = mpsc::unbounded_channel();
        (sender, JobLog(tokio::spawn(keep(job, rows, report))))
    }

    /// Waits until the rows that were given are stored, but not longer than this.
    pub(crate) async fn close(mut self, within: Duration) {
        // Rows that are late are lost; the job's result must not wait for them.
        let _ = tokio::time::timeout(within, &mut self.0).await;
    }
}

impl Drop for JobLog {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn keep(job: Job, mut rows: mpsc::UnboundedReceiver<String>, report: Arc<Report>) {
    let mut batch = Vec::with_capacity(BATCH);
    while rows.recv_many(&mut batch, BATCH).await > 0 {
        let batch = std::mem::take(&mut batch);
        while let Err(error) = job.log_rows(batch.clone()).await {
            // What was not carried out may be sent again; what may have been would appear twice.
            if error.is_unreachable() && !error.is_unknown() {
                tokio::time::sleep(AGAIN_AFTER).await;
                continue;
            }
            // Without its lock a job has no log of ours, and why it has none is said elsewhere.
            if job.cancel_reason().is_none() {
                let error = crate::failure::chain(&error);
                report.trouble("log", |unsaid| {
                    let (queue, id) = (job.queue(), job.id().as_str());
                    tracing::warn!(target: "work", queue, job = id, error, unsaid, "rows of a job's log were lost");
                });
            }
            break;
        }
    }
}
