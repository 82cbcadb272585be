//! A process whose jobs end in all ways a job can, each told when it was answered, with checkpoints in between. At the end
//! the file is closed in good order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use interop::wait;
use lariat::rusqlite::{Connection, TransactionBehavior};
use lariat::{Committed, IntoOutcome, Job, JobError, Outcome, Queue, Store, Worker, WorkerEvent};
use lariat_lock::{Claim, LockStore, Verdict};

use crate::child::{History, Orders, Told};

/// Adds of one task between two checkpoints of its.
const BETWEEN: u64 = 5;

pub(crate) async fn all_ways(store: Store, orders: &Orders, history: Arc<History>) {
    store.ping().await.unwrap();
    make_receipts(&caller(orders));
    let (told, ours) = (Arc::clone(&history), orders.clone());
    let locks = store.locks(&orders.queue).unwrap();
    let handler = move |job: Job| {
        let (locks, ours, told) = (Arc::clone(&locks), ours.clone(), Arc::clone(&told));
        async move {
            renew(&*locks, &job).await;
            end(&job, &ours, &told)
        }
    };
    let worker = Worker::builder(&store, &orders.queue).concurrency(orders.concurrency).start(handler).unwrap();
    let mut events = worker.events();
    let checkpoints = Arc::new(Mutex::new(0));
    let adders =
        (0..orders.adders).map(|lane| add(store.clone(), orders.clone(), Arc::clone(&history), lane, &checkpoints));
    let adding: tokio::task::JoinSet<()> = adders.collect();
    let mut left = orders.jobs();
    while left > 0 {
        let told = match events.next().await.unwrap() {
            WorkerEvent::Completed { id } => Told::Completed { id: id.to_string() },
            WorkerEvent::Failed { id, .. } => Told::Failed { id: id.to_string() },
            WorkerEvent::Retrying { id, .. } => Told::Retried { id: id.to_string() },
            // The one who waits for the jobs is to know why they do not end.
            WorkerEvent::LockLost { id, .. } => Told::LockLost { id: id.to_string() },
            WorkerEvent::ResultRefused { id, why } => Told::Refused { id: id.to_string(), why },
            WorkerEvent::StoreLost { error } => Told::StoreLost { why: error },
            _ => continue,
        };
        left -= u64::from(matches!(told, Told::Completed { .. } | Told::Failed { .. }));
        history.tell(&told);
    }
    adding.join_all().await;
    worker.close(wait::DEADLINE).await;
}

/// A connection of the process's own.
pub(crate) fn caller(orders: &Orders) -> Connection {
    let path = orders.url.strip_prefix("sqlite:").unwrap().split('?').next().unwrap();
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(wait::DEADLINE).unwrap();
    connection.pragma_update(None, "synchronous", &orders.caller).unwrap();
    connection
}

/// A table of the process's own in the file.
pub(crate) fn make_receipts(caller: &Connection) {
    caller.execute_batch("CREATE TABLE IF NOT EXISTS receipt (job TEXT NOT NULL) STRICT").unwrap();
}

/// Commits a receipt of the process's own and the job's end at once.
pub(crate) fn complete_with_receipt(job: &Job, caller: &mut Connection) -> Result<Committed, JobError> {
    let tx = caller.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute("INSERT INTO receipt VALUES (?1)", [job.id().as_str()])?;
    Ok(job.complete_in(tx, &"in a transaction")?.commit()?)
}

/// What holds of such a job.
pub(crate) fn completed_with_receipt(id: &str) -> String {
    format!("state = 4 AND EXISTS (SELECT 1 FROM receipt WHERE receipt.job = '{id}')")
}

fn add(
    store: Store,
    orders: Orders,
    history: Arc<History>,
    lane: usize,
    checkpoints: &Arc<Mutex<usize>>,
) -> impl Future<Output = ()> + use<> {
    let checkpoints = Arc::clone(checkpoints);
    async move {
        let queue = Queue::new(&store, &orders.queue).unwrap();
        for n in 0..orders.adds {
            let id = queue.add("n", &(n + lane as u64)).attempts(2).await.unwrap();
            history.tell(&Told::Added { id: id.to_string() });
            if n % BETWEEN == BETWEEN - 1 {
                tokio::task::block_in_place(|| checkpoint(&orders, &mut checkpoints.lock().unwrap()));
            }
        }
    }
}

/// What `wal_autocheckpoint` does once in 4,000 pages, and two kinds that others may ask for. One at a time: a second one is
/// refused at once.
fn checkpoint(orders: &Orders, before: &mut usize) {
    let sql = format!("PRAGMA wal_checkpoint({})", ["PASSIVE", "RESTART", "TRUNCATE"][*before % 3]);
    *before += 1;
    let caller = caller(orders);
    let busy: bool = caller.query_row(&sql, [], |row| row.get(0)).unwrap();
    assert!(!busy, "{sql}");
}

/// A commit that is not synced, whatever the file's durability: the next one is.
pub(crate) async fn renew(locks: &dyn LockStore, job: &Job) {
    let claim = Claim::new(job.id().as_str(), job.token());
    assert_eq!(locks.extend(&[claim], Duration::from_secs(30)).await.unwrap(), [Verdict::Extended]);
}

/// By the job's number: completed, tried twice, failed for good, completed in a transaction.
fn end(job: &Job, orders: &Orders, history: &History) -> Result<Outcome, JobError> {
    match job.data::<u64>()? % 5 {
        0 if job.attempt() == 1 => Err(JobError::retry("not yet")),
        1 => Err(JobError::fail("never")),
        2 => tokio::task::block_in_place(|| {
            let committed = complete_with_receipt(job, &mut caller(orders))?;
            history.tell(&Told::Committed { id: job.id().to_string() });
            committed.into_outcome()
        }),
        _ => Outcome::done(&"by the worker"),
    }
}
