//! The crate `bullmq-official`, through its public API.

use std::sync::Arc;
use std::time::Duration;

use bullmq::options::RedisConnectionOptions;
use bullmq::worker::CancellationToken;
use bullmq::{BulkJob, Job, Queue, QueueOptions, Worker, WorkerOptions};

use super::handlers::{Handlers, JobData};
use super::serve::Driver;
use crate::Result;
use crate::protocol::WorkerSpec;

pub(super) struct Official {
    connection: RedisConnectionOptions,
}

impl Driver for Official {
    type Queue = Arc<Queue>;
    type Worker = Worker;

    async fn open(address: &str) -> Result<Self> {
        Ok(Self { connection: RedisConnectionOptions::new().url(address) })
    }

    async fn queue(&self, name: &str) -> Result<Arc<Queue>> {
        let options = QueueOptions::new().connection(self.connection.clone());
        Ok(Arc::new(Queue::with_options(name, options).await?))
    }

    async fn add(queue: &mut Arc<Queue>, name: &str, data: &JobData) -> Result<()> {
        queue.add(name, data).await?;
        Ok(())
    }

    async fn add_batch(queue: &mut Arc<Queue>, name: &str, data: Vec<JobData>) -> Result<()> {
        queue.add_bulk(data.iter().map(|data| BulkJob::new(name, data)).collect()).await?;
        Ok(())
    }

    async fn work(&self, spec: &WorkerSpec, handlers: &Arc<Handlers>) -> Result<Worker> {
        let options = WorkerOptions::new()
            .connection(self.connection.clone())
            .concurrency(spec.concurrency)
            .lock_duration(Duration::from_millis(spec.lock_ms))
            .stalled_interval(Duration::from_millis(spec.stalled_ms));
        let handlers = Arc::clone(handlers);
        let handler = move |job: Job, cancel: CancellationToken| {
            let handlers = Arc::clone(&handlers);
            async move {
                let data = || serde_json::from_value(job.data().clone()).unwrap_or_else(|_| JobData::plain(0, 0));
                let result = handlers.run(job.name(), data, cancel.cancelled()).await;
                Ok(serde_json::Value::from(result))
            }
        };
        Ok(Worker::with_options(&spec.queue, handler, options).await?)
    }

    async fn close(worker: Worker) -> Result<()> {
        Ok(worker.close(5_000).await?)
    }
}
