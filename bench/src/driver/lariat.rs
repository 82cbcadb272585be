//! Lariat, through its public API.

use std::sync::Arc;
use std::time::Duration;

use ::lariat::{Error, Job, NewJob, Queue, Store, Worker};

use super::handlers::{Handlers, JobData};
use super::serve::Driver;
use crate::Result;
use crate::protocol::WorkerSpec;

pub(super) struct Lariat {
    store: Store,
}

impl Driver for Lariat {
    type Queue = Queue;
    type Worker = Worker;

    async fn open(address: &str) -> Result<Self> {
        Ok(Self { store: Store::open(address)? })
    }

    async fn queue(&self, name: &str) -> Result<Queue> {
        Ok(Queue::new(&self.store, name)?)
    }

    async fn add(queue: &mut Queue, name: &str, data: &JobData) -> Result<()> {
        queue.add(name, data).await?;
        Ok(())
    }

    async fn add_batch(queue: &mut Queue, name: &str, data: Vec<JobData>) -> Result<()> {
        queue.add_bulk(data.iter().map(|data| NewJob::new(name, data))).await?;
        Ok(())
    }

    async fn work(&self, spec: &WorkerSpec, handlers: &Arc<Handlers>) -> Result<Worker> {
        let handlers = Arc::clone(handlers);
        let handler = move |job: Job| {
            let handlers = Arc::clone(&handlers);
            async move {
                let data = || job.data().unwrap_or_else(|_| JobData::plain(0, 0));
                let lost = async {
                    job.cancelled().await;
                };
                Ok::<_, Error>(handlers.run(job.name(), data, lost).await)
            }
        };
        let worker = Worker::builder(&self.store, &spec.queue)
            .concurrency(spec.concurrency)
            .lock_duration(Duration::from_millis(spec.lock_ms))
            .stalled_interval(Duration::from_millis(spec.stalled_ms))
            .start(handler)?;
        Ok(worker)
    }

    async fn close(worker: Worker) -> Result<()> {
        worker.close(Duration::from_secs(5)).await;
        Ok(())
    }
}
