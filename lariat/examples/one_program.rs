//! The same program on every store: `cargo run -p lariat --example one_program -- sqlite:jobs.db`, or `-- redis://127.0.0.1`.

use std::error::Error;
use std::time::Duration;

use lariat::{Backoff, Finished, Job, JobError, JobState, NewJob, Queue, Store, Worker};

const QUEUE: &str = "example-one-program";

async fn parse(job: Job) -> Result<i64, JobError> {
    let text: String = job.data()?;
    job.progress(&50).await?;
    job.log(format!("attempt {}: {text:?}", job.attempt())).await?;
    match text.as_str() {
        "flaky" if job.attempt() == 1 => Err(JobError::retry("not this time")),
        "flaky" => Ok(0),
        number => number.parse().map_err(|e| JobError::fail(format!("{text:?}: {e}"))),
    }
}

/// Adds jobs of several kinds, works them one by one, and says what became of each, and of the queue.
pub async fn run(url: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let store = Store::connect(url).await?;
    let queue = Queue::new(&store, QUEUE)?;
    let mut lines = Vec::new();

    queue.pause().await?;
    let mut ids = queue.add_bulk(["3", "four"].map(|text| NewJob::new("parse", &text))).await?;
    ids.push(queue.add("parse", "flaky").attempts(2).backoff(Backoff::fixed(Duration::from_millis(20))).await?);
    ids.push(queue.add("parse", "5").delay(Duration::from_millis(50)).await?);
    ids.push(queue.add("parse", "6").priority(2).await?);
    ids.push(queue.add("parse", "7").id("seven").await?);
    queue.add("parse", "8").id("seven").await?;
    let dropped = queue.add("parse", "9").delay(Duration::from_secs(3600)).await?;
    queue.edit(&dropped).remove().await?;
    let counts = queue.overview().await?.counts;
    lines.push(format!(
        "{} wait, {} of them behind the others",
        counts.waiting + counts.prioritized,
        counts.prioritized
    ));
    queue.resume().await?;

    let worker = Worker::builder(&store, QUEUE).start(parse)?;
    for id in &ids {
        let end = match queue.wait_for(id, Duration::from_secs(30)).await? {
            Finished::Completed(value) => value.get().to_owned(),
            Finished::Failed(reason) => reason,
            other => format!("{other:?}"),
        };
        let job = queue.job(id).await?.ok_or("a kept job is gone")?.record;
        let rows = queue.logs(id, 0, 10).await?.rows;
        lines.push(format!(
            "{id}: {end}, after {} of {} attempts, {rows:?}",
            job.attempts_made,
            job.options.attempts.max(1)
        ));
    }
    worker.close(Duration::from_secs(5)).await;

    let ended = queue.overview().await?.counts;
    lines.push(format!("{} completed, {} failed, {} left", ended.completed, ended.failed, ended.unfinished()));
    for job in queue.jobs(JobState::Failed, 0, 10).await?.jobs {
        lines.push(format!("failed: {} with {}", job.id, job.data.get()));
    }
    Ok(lines)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("pass the URL of a store: sqlite:jobs.db, redis://127.0.0.1")?;
    for line in run(&url).await? {
        println!("{line}");
    }
    Ok(())
}
