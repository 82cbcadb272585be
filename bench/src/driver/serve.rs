//! The loop of a driver process, whatever library it drives.
//!
//! It stays on the main thread, outside the runtime: it answers even while every runtime thread is blocked. The program in
//! `apalis/` has the same loop.

use std::future::Future;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tokio::runtime::Runtime;

use super::handlers::{Handlers, JobData};
use crate::Result;
use crate::protocol::{Answer, Command, Pace, Usage, WorkerSpec};

/// What a library must offer to be measured.
pub(crate) trait Driver: Sized + Send + Sync + 'static {
    /// A producer's handle to one queue.
    type Queue: Clone + Send + Sync + 'static;
    /// A running worker.
    type Worker: Send;

    /// `redis://host:port`, or `sqlite:PATH?durability=normal|full`.
    fn open(address: &str) -> impl Future<Output = Result<Self>> + Send;
    fn queue(&self, name: &str) -> impl Future<Output = Result<Self::Queue>> + Send;
    fn add(queue: &mut Self::Queue, name: &str, data: &JobData) -> impl Future<Output = Result<()>> + Send;
    fn add_batch(queue: &mut Self::Queue, name: &str, data: Vec<JobData>) -> impl Future<Output = Result<()>> + Send;
    fn work(&self, spec: &WorkerSpec, handlers: &Arc<Handlers>) -> impl Future<Output = Result<Self::Worker>> + Send;
    fn close(worker: Self::Worker) -> impl Future<Output = Result<()>> + Send;
}

/// Runs the driver process until standard input ends.
pub(crate) fn serve<D: Driver>(address: &str, threads: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let handlers = Arc::new(Handlers::new(threads));
    let driver = runtime.block_on(D::open(address))?;
    let mut workers = Vec::new();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let command: Command = serde_json::from_str(&line?)?;
        let answer = obey(&driver, &runtime, &handlers, &mut workers, command)
            .unwrap_or_else(|error| Answer::Error { why: error.to_string() });
        serde_json::to_writer(&mut out, &answer)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    // Held jobs never end; the process is done with them.
    std::process::exit(0)
}

fn obey<D: Driver>(
    driver: &D,
    runtime: &Runtime,
    handlers: &Arc<Handlers>,
    workers: &mut Vec<D::Worker>,
    command: Command,
) -> Result<Answer> {
    match command {
        Command::Work(spec) => {
            if spec.watch {
                runtime.spawn(Arc::clone(handlers).watch());
            }
            // Started on a runtime thread, as a user would from an async main.
            workers.push(runtime.block_on(driver.work(&spec, handlers))?);
        }
        Command::Finish { count } => handlers.wait_finished(count),
        Command::Close => {
            for worker in workers.drain(..) {
                runtime.block_on(D::close(worker))?;
            }
        }
        Command::Add { queue, name, jobs, pace, block_ms } => {
            let queue = runtime.block_on(driver.queue(&queue))?;
            let adding = add::<D>(queue, name, jobs, pace, block_ms);
            // Spawned, so that it runs where the library's own tasks run and not across a thread boundary.
            let elapsed = runtime.block_on(async { tokio::spawn(adding).await })??;
            return Ok(Answer::Added { elapsed_us: u64::try_from(elapsed.as_micros())? });
        }
        Command::Usage => return Ok(Answer::Usage(usage()?)),
        Command::Seen => return Ok(Answer::Seen(handlers.seen())),
        Command::Forget => handlers.forget(),
    }
    Ok(Answer::Done)
}

async fn add<D: Driver>(mut queue: D::Queue, name: String, jobs: usize, pace: Pace, block_ms: u64) -> Result<Duration> {
    let start = Instant::now();
    match pace {
        Pace::Batch { size } => {
            let mut left = jobs;
            while left > 0 {
                let size = size.min(left);
                let batch: Vec<JobData> = (0..size).map(|i| JobData::plain(i, block_ms)).collect();
                D::add_batch(&mut queue, &name, batch).await?;
                left -= size;
            }
        }
        Pace::Flight { width } => {
            let tasks: Vec<_> = (0..width)
                .map(|lane| {
                    let (mut queue, name) = (queue.clone(), name.clone());
                    tokio::spawn(async move {
                        for i in (lane..jobs).step_by(width) {
                            D::add(&mut queue, &name, &JobData::plain(i, block_ms)).await?;
                        }
                        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
                    })
                })
                .collect();
            for task in tasks {
                task.await??;
            }
        }
        Pace::Paced { gap_us } => {
            let mut ticks = tokio::time::interval(Duration::from_micros(gap_us));
            for i in 0..jobs {
                ticks.tick().await;
                let mut data = JobData::plain(i, block_ms);
                data.t = now_us();
                D::add(&mut queue, &name, &data).await?;
            }
        }
    }
    Ok(start.elapsed())
}

/// Wall time in microseconds: comparable between the processes of one machine.
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}

fn usage() -> Result<Usage> {
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok(Usage {
        cpu_us: u64::try_from(used.user_time().num_microseconds() + used.system_time().num_microseconds())?,
        switches: u64::try_from(used.voluntary_context_switches() + used.involuntary_context_switches())?,
        peak_kib: u64::try_from(used.max_rss())?,
    })
}
