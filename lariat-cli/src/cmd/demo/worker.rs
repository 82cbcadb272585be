//! A worker of the demo: a process of its own, which hashes files until it is told to close.
//!
//! It gets its orders as a line on stdin, and closes on another. Where stdin ends without that, whoever started it is
//! gone, and so is the worker, at once. On stdout it reports how it is doing, a line each time.

use std::io::{BufRead, stdin};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use lariat::{Job, JobError, Prefix, Store, Worker, WorkerEvent, WorkerEvents};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::digest::Hashing;
use super::task::{Hashed, LONG, Task};
use crate::failure::Failure;
use crate::output::{self, Reader};

/// The argument that makes this binary a worker of the demo.
pub(crate) const WORKER: &str = "__demo-worker";

/// What closes a worker.
pub(super) const CLOSE: &str = "close\n";

const REPORT_EVERY: Duration = Duration::from_millis(100);
/// Nothing is left to do when the demo closes its workers; this is for what goes wrong.
const GRACE: Duration = Duration::from_secs(5);
/// The pause between two pieces of a file that is read slowly.
const PAUSE: Duration = Duration::from_millis(100);
/// What is read before the handler looks whether it is still wanted.
const STRIDE: u64 = 8 << 20;

/// What a worker is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    pub(super) store: String,
    pub(super) prefix: String,
    pub(super) queue: String,
    pub(super) name: String,
    pub(super) concurrency: usize,
    pub(super) lock: Duration,
    pub(super) lock_renew: Duration,
    pub(super) stalled_interval: Duration,
    pub(super) max_stalled: u32,
}

/// How a worker is doing. All that is counted is counted from its start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    /// The store has answered it.
    pub(super) ready: bool,
    /// Jobs in its hands, and how many of them are long.
    pub(super) held: u64,
    pub(super) long: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
    /// Results that the store did not take.
    pub(super) refused: u64,
    /// Events that it could not count.
    pub(super) missed: u64,
    /// Bytes that it has read.
    pub(super) bytes: u64,
    pub(super) locks: Locks,
}

/// Figures of locks, of one worker or of several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Locks {
    pub(super) renewed: u64,
    /// The calls that renewed them, and those of them that brought no answer.
    pub(super) calls: u64,
    pub(super) unanswered: u64,
    pub(super) lost: u64,
    /// The smallest trust left at the moment of a renewal.
    pub(super) smallest_trust: Option<Duration>,
}

impl Locks {
    fn of(worker: &Worker) -> Locks {
        let figures = worker.lock_metrics();
        let unanswered = figures.calls.failed + figures.calls.timed_out;
        Locks {
            renewed: figures.renewed,
            calls: figures.calls.ok + figures.calls.partial + unanswered,
            unanswered,
            lost: figures.lost.missing + figures.lost.taken + figures.lost.expired,
            smallest_trust: figures.trust_left.min(),
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    completed: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    missed: AtomicU64,
    bytes: AtomicU64,
}

/// The whole life of a worker.
pub(crate) fn work() -> ExitCode {
    match live() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::say(&format!("a worker of the demo: {failure}"));
            ExitCode::from(failure.status())
        }
    }
}

fn live() -> Result<(), Failure> {
    let cannot = |what: &str, why: &dyn std::fmt::Display| Failure::failed(format!("cannot {what}: {why}"));
    let mut line = String::new();
    stdin().lock().read_line(&mut line).map_err(|e| cannot("read its orders", &e))?;
    let orders: Orders = serde_json::from_str(&line).map_err(|e| cannot("understand its orders", &e))?;
    let (told, close) = oneshot::channel();
    thread::spawn(move || listen(told));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| cannot("start", &e))?;
    runtime.block_on(serve(orders, close))
}

/// Tells when it is time to close; does not outlive whoever could say so.
fn listen(told: oneshot::Sender<()>) {
    let mut lines = stdin().lock().lines();
    if let Some(Ok(_)) = lines.next() {
        // The worker may have ended by itself.
        let _ = told.send(());
    }
    for _ in lines.map_while(Result::ok) {}
    std::process::exit(1);
}

async fn serve(orders: Orders, close: oneshot::Receiver<()>) -> Result<(), Failure> {
    let store = Store::open(&orders.store)?.with_prefix(Prefix::new(orders.prefix)?);
    let tally = Arc::new(Tally::default());
    let (name, counted): (Arc<str>, _) = (orders.name.into(), Arc::clone(&tally));
    let (by, read) = (Arc::clone(&name), Arc::clone(&tally));
    let worker = Worker::builder(&store, &orders.queue)
        .name(name)
        .concurrency(orders.concurrency)
        .lock_duration(orders.lock)
        .lock_renew_time(orders.lock_renew)
        .stalled_interval(orders.stalled_interval)
        .max_stalled(orders.max_stalled)
        .start(move |job: Job| hash(job, Arc::clone(&by), Arc::clone(&read)))?;
    let worker = Arc::new(worker);
    let counting = tokio::spawn(count(worker.events(), counted));
    let (end, ends) = channel();
    let reporter = {
        let (worker, tally) = (Arc::clone(&worker), Arc::clone(&tally));
        thread::spawn(move || report(&worker, &tally, &ends))
    };
    tokio::select! {
        _ = close => {}
        closed = worker.stopped() => if let Some(why) = &closed.why { return Err(why.into()) },
    }
    worker.close(GRACE).await;
    let _ = counting.await;
    stop(end, reporter);
    Ok(())
}

/// The last report is made after everything has been counted.
fn stop(end: Sender<()>, reporter: thread::JoinHandle<()>) {
    drop(end);
    let _ = reporter.join();
}

/// Reports until the end, and once more then. On a thread of its own: whoever reads the reports may let us wait.
fn report(worker: &Worker, tally: &Tally, ends: &Receiver<()>) {
    loop {
        let over = ends.recv_timeout(REPORT_EVERY) != Err(RecvTimeoutError::Timeout);
        let active = worker.active();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let report = Report {
            ready: worker.health().answered_ago.is_some(),
            held: active.len() as u64,
            long: active.iter().filter(|job| job.name == LONG).count() as u64,
            completed: count(&tally.completed),
            failed: count(&tally.failed),
            refused: count(&tally.refused),
            missed: count(&tally.missed),
            bytes: count(&tally.bytes),
            locks: Locks::of(worker),
        };
        let read = matches!(output::print_json(&report), Ok(Reader::There));
        if over || !read {
            return;
        }
    }
}

async fn count(mut events: WorkerEvents, tally: Arc<Tally>) {
    while let Some(event) = events.next().await {
        let counter = match event {
            WorkerEvent::Completed { .. } => &tally.completed,
            WorkerEvent::Failed { .. } => &tally.failed,
            WorkerEvent::ResultRefused { .. } => &tally.refused,
            _ => continue,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
    tally.missed.store(events.missed(), Ordering::Relaxed);
}

/// The handler.
async fn hash(job: Job, by: Arc<str>, tally: Arc<Tally>) -> Result<Hashed, JobError> {
    let begun = Instant::now();
    let task: Task = job.data().map_err(|e| JobError::fail(e.to_string()))?;
    let unreadable = |e: std::io::Error| JobError::fail(format!("cannot be read: {e}"));
    let path = task.path();
    let mut hashing = apart(move || Hashing::begin(&path)).await?.map_err(unreadable)?;
    let slowly = match task.hold() {
        Some(hold) => Some((hold, piece(hold, hashing.length().map_err(unreadable)?))),
        None => None,
    };
    loop {
        let most = slowly.map_or(STRIDE, |(_, piece)| piece);
        let (back, read) = apart(move || {
            let read = hashing.piece(most);
            (hashing, read)
        })
        .await?;
        hashing = back;
        let read = read.map_err(unreadable)?;
        tally.bytes.fetch_add(read, Ordering::Relaxed);
        match slowly {
            Some((hold, _)) if read == most || begun.elapsed() < hold => tokio::time::sleep(PAUSE).await,
            None if read == most => {}
            _ => break,
        }
    }
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Hashed { sha256: hashing.end(), by: by.to_string(), took_ms })
}

/// How much to read at a time, for a file of this length to take this long.
fn piece(hold: Duration, length: u64) -> u64 {
    let pieces = u64::try_from(hold.as_millis() / PAUSE.as_millis()).unwrap_or(u64::MAX);
    length.div_ceil(pieces.max(1)).max(1)
}

/// Reading blocks, and is done where that holds nothing up.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JobError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| JobError::retry(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_jobs_pieces_make_up_its_file() {
        let hold = Duration::from_secs(10);
        for length in [0, 1, 99, 199, 12_345, 1 << 40] {
            let piece = piece(hold, length);
            assert!(piece >= 1 && piece * 100 >= length, "{length}: {piece}");
        }
    }
}
