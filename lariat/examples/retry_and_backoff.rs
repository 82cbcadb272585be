//! What follows a failed attempt: `cargo run -p lariat --example retry_and_backoff`.

use std::error::Error;
use std::time::Duration;

use lariat::{Backoff, Job, NextAttempt, Queue, Store, Worker, WorkerEvent};

/// Any error is a failed attempt: here that of a service which is too busy, twice.
async fn call_service(job: Job) -> Result<String, String> {
    match job.attempt() {
        1 | 2 => Err(format!("attempt {}: too busy", job.attempt())),
        n => Ok(format!("attempt {n}: done")),
    }
}

/// Adds a job for each way to wait, works them, and says how long each waited after which attempt.
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("LARIAT_STORE").unwrap_or_else(|_| "sqlite::memory:".into());
    let store = Store::connect(&url).await?;
    let queue = Queue::new(&store, "example-retry")?;
    let worker = Worker::builder(&store, "example-retry")
        // Asked about backoffs that are neither fixed nor exponential.
        .backoff_strategy(|attempt| match attempt.strategy {
            "linear" => NextAttempt::After(Duration::from_millis(15) * attempt.attempts_made),
            _ => NextAttempt::Never,
        })
        .start(call_service)?;
    let mut events = worker.events();

    for (name, backoff) in [
        ("fixed", Backoff::fixed(Duration::from_millis(10))),
        ("exponential", Backoff::exponential(Duration::from_millis(10)).jitter(0.2)),
        ("linear", Backoff::custom("linear", Duration::ZERO)),
        ("unknown", Backoff::custom("nobody knows it", Duration::ZERO)),
    ] {
        queue.add(name, &()).attempts(3).backoff(backoff).await?;
        loop {
            match events.next().await.ok_or("the worker has ended")? {
                WorkerEvent::Retrying { reason, delay, .. } => {
                    println!("{name}: {reason}, again in {delay:?}");
                }
                WorkerEvent::Completed { .. } => break println!("{name}: completed"),
                WorkerEvent::Failed { reason, .. } => break println!("{name}: failed: {reason}"),
                _ => {}
            }
        }
    }
    worker.close(Duration::from_secs(25)).await;
    Ok(())
}
