//! A producer and a worker: `cargo run -p lariat --example hello`. `LARIAT_STORE` says where the jobs live.

use std::error::Error;
use std::time::Duration;

use lariat::{Finished, Job, JobError, Queue, Store, Worker};

async fn welcome(job: Job) -> Result<String, JobError> {
    let address: String = job.data()?;
    if !address.contains('@') {
        return Err(JobError::fail(format!("{address:?} is no address"))); // no further attempt can help
    }
    Ok(format!("sent to {address}"))
}

/// Adds two jobs, works them, and says how they ended.
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("LARIAT_STORE").unwrap_or_else(|_| "sqlite::memory:".into());
    let store = Store::connect(&url).await?;
    let mail = Queue::new(&store, "example-hello")?;
    let good = mail.add("welcome", "ada@example.org").attempts(3).await?;
    let bad = mail.add("welcome", "nobody").attempts(3).await?;

    let worker = Worker::builder(&store, "example-hello").concurrency(10).start(welcome)?;
    for id in [&good, &bad] {
        match mail.wait_for(id, Duration::from_secs(30)).await? {
            Finished::Completed(value) => println!("completed: {value}"),
            Finished::Failed(reason) => println!("failed: {reason}"),
            other => println!("{other:?}"),
        }
    }
    worker.close(Duration::from_secs(25)).await;
    Ok(())
}
