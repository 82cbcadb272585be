//! Adding in a transaction of the test's own: all of it, or nothing.

use std::io::Write as _;
use std::time::Duration;

use lariat::rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use lariat::{Error, ErrorKind, EventKind, JobError, JobId, JobState, NewJob, Queue, QueueEvents, Store};

use crate::child::Child;
use crate::file::TestFile;
use crate::fixture::{Fixture, QUEUE, SECOND, on_both_stores};

on_both_stores! {
    a_job_can_be_added_in_a_transaction_exactly_where_the_store_says_so,
    [needs transactions]
    the_job_is_there_with_the_commit_and_not_before,
    a_rollback_leaves_nothing,
    an_id_of_ones_own_is_added_once,
    an_error_has_written_nothing_and_the_transaction_goes_on,
    a_waiting_worker_wakes_at_the_commit,
    a_waiting_worker_wakes_at_the_commit_of_another_process,
    a_process_that_dies_before_its_commit_leaves_nothing,
    a_transaction_on_another_file_is_refused,
    a_connection_that_only_reads_is_refused,
    a_transaction_that_has_ended_is_refused,
    a_temporary_table_of_the_same_name_is_no_queue,
    a_transaction_that_reads_an_old_moment_is_refused,
    a_file_that_somebody_else_writes_is_said,
}

/// A store with a table of the test's own in its file, and a connection to that.
async fn shop(f: Fixture) -> (Fixture, Connection) {
    f.store.ping().await.unwrap();
    let db = f.file().connect();
    db.execute_batch("CREATE TABLE customer (name TEXT NOT NULL)").unwrap();
    (f, db)
}

fn begin(db: &mut Connection) -> Transaction<'_> {
    db.transaction_with_behavior(TransactionBehavior::Immediate).unwrap()
}

fn customers(f: &Fixture) -> i64 {
    f.file().connect().query_row("SELECT count(*) FROM customer", [], |row| row.get(0)).unwrap()
}

async fn waiting(queue: &Queue) -> u64 {
    queue.overview().await.unwrap().counts.waiting
}

async fn a_job_can_be_added_in_a_transaction_exactly_where_the_store_says_so(f: Fixture) {
    let files = TestFile::new();
    f.store.ping().await.unwrap();
    let mut db = if f.store.capabilities().transactions { f.file().connect() } else { files.connect() };
    let tx = begin(&mut db);
    let added = f.queue.add_in(&tx, "x", &1).write();
    let bulk = f.queue.add_bulk_in(&tx, [NewJob::new("x", &2)]);
    tx.commit().unwrap();
    if f.store.capabilities().transactions {
        assert_eq!((added.unwrap().as_str(), bulk.unwrap()[0].as_str()), ("1", "2"));
        assert_eq!(waiting(&f.queue).await, 2);
    } else {
        for error in [added.unwrap_err(), bulk.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().contains("Capabilities::transactions"), "{error}");
        }
        assert_eq!(waiting(&f.queue).await, 0);
    }
}

async fn the_job_is_there_with_the_commit_and_not_before(f: Fixture) {
    let (f, mut db) = shop(f).await;
    let mut events = QueueEvents::from_now(&f.store, QUEUE).await.unwrap();
    let tx = begin(&mut db);
    tx.execute("INSERT INTO customer VALUES ('ada')", []).unwrap();
    let added = f.queue.add_in(&tx, "welcome", &"ada").attempts(3).priority(4).timeout(SECOND).write().unwrap();
    let later =
        f.queue.add_in(&tx, "remind", &"ada").delay(Duration::from_secs(3600)).id("remind-ada").write().unwrap();
    assert_eq!((added.as_str(), later.as_str()), ("1", "remind-ada"));
    assert!(f.queue.job(&added).await.unwrap().is_none() && customers(&f) == 0, "not committed");
    tx.commit().unwrap();

    assert_eq!(customers(&f), 1);
    let job = f.job(&added).await;
    assert_eq!((job.state, job.record.data.get()), (Some(JobState::Prioritized), "\"ada\""));
    assert_eq!((job.record.options.attempts, job.record.options.timeout), (3, Some(SECOND)));
    assert_eq!(f.state(&later).await, Some(JobState::Delayed));
    let mut told = Vec::new();
    while told.len() < 4 {
        told.push(events.next().await.unwrap().raw.0);
    }
    assert_eq!(told, ["added", "waiting", "added", "delayed"]);
    // The writer takes it from there.
    assert_eq!(f.queue.add("next", &()).await.unwrap().as_str(), "3");
}

async fn a_rollback_leaves_nothing(f: Fixture) {
    let (f, mut db) = shop(f).await;
    f.queue.add("before", &()).await.unwrap();
    let mut events = QueueEvents::from_now(&f.store, QUEUE).await.unwrap();
    let tx = begin(&mut db);
    tx.execute("INSERT INTO customer VALUES ('ada')", []).unwrap();
    let undone = f.queue.add_bulk_in(&tx, (0..3).map(|n| NewJob::new("x", &n))).unwrap();
    drop(tx);
    for id in &undone {
        assert!(f.queue.job(id).await.unwrap().is_none());
    }
    assert_eq!((waiting(&f.queue).await, customers(&f)), (1, 0));
    let next = f.queue.add("next", &()).await.unwrap();
    assert_eq!(next, undone[0], "its number was not used up");
    let event = events.next().await.unwrap();
    assert!(matches!(&event.kind, EventKind::Added { job, .. } if *job == next), "{event:?}");
}

async fn an_id_of_ones_own_is_added_once(f: Fixture) {
    let (f, mut db) = shop(f).await;
    let first = f.queue.add("pay", &1).id("invoice-7").await.unwrap();
    let tx = begin(&mut db);
    assert_eq!(f.queue.add_in(&tx, "pay", &2).id("invoice-7").write().unwrap(), first);
    f.queue.add_in(&tx, "pay", &3).id("invoice-8").write().unwrap();
    f.queue.add_in(&tx, "pay", &4).id("invoice-8").write().unwrap();
    tx.commit().unwrap();
    assert_eq!(f.job(&first).await.record.data.get(), "1");
    assert_eq!(waiting(&f.queue).await, 2);
}

async fn an_error_has_written_nothing_and_the_transaction_goes_on(f: Fixture) {
    let (f, mut db) = shop(f).await;
    let tx = begin(&mut db);
    let error = f.queue.add_bulk_in(&tx, [NewJob::new("good", &1), NewJob::new("", &2)]).unwrap_err();
    assert!(error.is_invalid() && error.queue() == Some(QUEUE), "{error:?}");
    let error = f.queue.add_in(&tx, "x", &1).id("a:b").write().unwrap_err();
    assert!(error.is_invalid(), "{error}");
    // One that fails half-way, in the file itself.
    tx.execute_batch(
        "CREATE TEMP TRIGGER no BEFORE INSERT ON main.lariat_payload WHEN NEW.data = '13' BEGIN SELECT raise(FAIL, 'no'); END",
    )
    .unwrap();
    let error = f.queue.add_bulk_in(&tx, (10..15).map(|n| NewJob::new("x", &n))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    let id = f.queue.add_in(&tx, "x", &1).write().unwrap();
    tx.commit().unwrap();
    assert_eq!((id.as_str(), waiting(&f.queue).await), ("1", 1));
}

/// A worker that sleeps until there is work; nothing but the commit tells it.
async fn a_waiting_worker_wakes_at_the_commit(f: Fixture) {
    let (f, mut db) = shop(f).await;
    let worker = f.worker().start(async |_| Ok::<_, JobError>(())).unwrap();
    for _ in 0..5 {
        let tx = begin(&mut db);
        let id = f.queue.add_in(&tx, "x", &()).write().unwrap();
        tx.commit().unwrap();
        f.until(&id, JobState::Completed).await;
    }
    worker.close(SECOND).await;
}

async fn a_waiting_worker_wakes_at_the_commit_of_another_process(f: Fixture) {
    let (f, db) = shop(f).await;
    drop(db);
    let worker = f.worker().start(async |_| Ok::<_, JobError>(())).unwrap();
    // The first look at a file takes a turn in writing.
    assert_eq!(waiting(&f.queue).await, 0);
    let mut child = Child::start("add_in::child_adds", &f.file().path());
    assert_eq!(child.says("wrote "), "1");
    assert_eq!((waiting(&f.queue).await, customers(&f)), (0, 0));
    child.tell("commit");
    let id = JobId::existing(child.says("committed ")).unwrap();
    f.until(&id, JobState::Completed).await;
    assert_eq!(customers(&f), 1);
    worker.close(SECOND).await;
}

async fn a_process_that_dies_before_its_commit_leaves_nothing(f: Fixture) {
    let (f, db) = shop(f).await;
    drop(db);
    let mut child = Child::start("add_in::child_adds", &f.file().path());
    child.says("wrote ");
    child.kill();
    assert_eq!((waiting(&f.queue).await, customers(&f)), (0, 0));
    assert_eq!(f.queue.add("x", &()).await.unwrap().as_str(), "1");
}

#[test]
#[ignore = "a process that other tests start"]
fn child_adds() {
    let Some(path) = Child::path() else { return };
    let store = Store::open(&format!("sqlite:{}", path.display())).unwrap();
    let queue = Queue::new(&store, QUEUE).unwrap();
    let mut db = Connection::open(path).unwrap();
    let tx = begin(&mut db);
    tx.execute("INSERT INTO customer VALUES ('ada')", []).unwrap();
    let id = queue.add_in(&tx, "x", &()).write().unwrap();
    println!("\nwrote {id}");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    tx.commit().unwrap();
    println!("\ncommitted {id}");
    std::io::stdout().flush().unwrap();
}

fn refused(queue: &Queue, db: &mut Connection, words: &str) -> Error {
    let tx = db.transaction().unwrap();
    let error = queue.add_in(&tx, "x", &1).write().unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
    error
}

async fn a_transaction_on_another_file_is_refused(f: Fixture) {
    let (other, mut db) = shop(f.another()).await;
    f.store.ping().await.unwrap();
    let error = refused(&f.queue, &mut db, "begin it on a connection to the queue's file");
    assert!(error.is_invalid(), "{error}");
    let mut memory = Connection::open_in_memory().unwrap();
    assert!(refused(&f.queue, &mut memory, "a database in memory").is_invalid());
    assert_eq!(waiting(&other.queue).await + waiting(&f.queue).await, 0);
}

/// In a file only: it is about the file's name.
#[cfg(unix)]
#[tokio::test]
async fn one_file_may_have_two_names() {
    let (f, _) = shop(Fixture::on_sqlite()).await;
    let link = f.file().path().with_file_name("link.db");
    std::os::unix::fs::symlink(f.file().path(), &link).unwrap();
    let mut db = Connection::open(&link).unwrap();
    let tx = begin(&mut db);
    f.queue.add_in(&tx, "x", &1).write().unwrap();
    tx.commit().unwrap();
    assert_eq!(waiting(&f.queue).await, 1);
}

/// In memory only: a file has the connections that memory has not.
#[tokio::test]
async fn a_queue_in_memory_takes_part_in_no_transaction() {
    let store = Store::open("sqlite::memory:").unwrap();
    assert!(!store.capabilities().transactions);
    let queue = Queue::new(&store, QUEUE).unwrap();
    let mut db = Connection::open_in_memory().unwrap();
    let error = refused(&queue, &mut db, "no second connection");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// In a file only: it is about the file's tables.
#[tokio::test]
async fn a_file_without_this_versions_tables_is_refused() {
    let file = TestFile::new();
    let store = Store::open(&file.url()).unwrap();
    let queue = Queue::new(&store, QUEUE).unwrap();
    let mut db = file.connect();
    db.execute_batch("CREATE TABLE customer (name TEXT)").unwrap();
    assert!(refused(&queue, &mut db, "none of Lariat's tables").is_invalid());

    let (f, mut db) = shop(Fixture::on_sqlite()).await;
    db.execute_batch("UPDATE lariat_store SET layout = 1000").unwrap();
    assert_eq!(refused(&f.queue, &mut db, "layout 1000 of a newer Lariat").kind(), ErrorKind::Unsupported);
    db.execute_batch("UPDATE lariat_store SET layout = 0").unwrap();
    assert!(refused(&f.queue, &mut db, "an older Lariat").is_invalid());
}

async fn a_connection_that_only_reads_is_refused(f: Fixture) {
    let (f, mut db) = shop(f).await;
    db.execute_batch("PRAGMA query_only = on").unwrap();
    assert!(refused(&f.queue, &mut db, "only reads").is_invalid());
    let mut db = Connection::open_with_flags(f.file().path(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    assert!(refused(&f.queue, &mut db, "only reads").is_invalid());
}

async fn a_transaction_that_has_ended_is_refused(f: Fixture) {
    let (f, mut db) = shop(f).await;
    let tx = begin(&mut db);
    tx.execute_batch("ROLLBACK").unwrap();
    let error = f.queue.add_in(&tx, "x", &1).write().unwrap_err();
    assert!(error.is_invalid() && error.to_string().contains("ended already"), "{error}");
    drop(tx);
    assert_eq!(waiting(&f.queue).await, 0);
}

async fn a_temporary_table_of_the_same_name_is_no_queue(f: Fixture) {
    let (f, mut db) = shop(f).await;
    db.execute_batch("CREATE TEMP TABLE mine (x)").unwrap();
    let tx = begin(&mut db);
    f.queue.add_in(&tx, "x", &1).write().unwrap();
    tx.commit().unwrap();
    db.execute_batch("CREATE TEMP TABLE Lariat_Job AS SELECT * FROM main.lariat_job").unwrap();
    assert!(refused(&f.queue, &mut db, "hides Lariat's").is_invalid());
}

/// A transaction that has read before somebody else wrote can write nothing any more: it must not go by what it reads.
async fn a_transaction_that_reads_an_old_moment_is_refused(f: Fixture) {
    let (f, mut db) = shop(f).await;
    let tx = db.transaction_with_behavior(TransactionBehavior::Deferred).unwrap();
    tx.query_row("SELECT count(*) FROM customer", [], |row| row.get::<_, i64>(0)).unwrap();
    f.queue.add("meanwhile", &()).await.unwrap();
    let error = f.queue.add_in(&tx, "x", &1).write().unwrap_err();
    assert!(error.kind() == ErrorKind::Unreachable && error.to_string().contains("BEGIN IMMEDIATE"), "{error}");
    drop(tx);
    assert_eq!(waiting(&f.queue).await, 1);
}

async fn a_file_that_somebody_else_writes_is_said(f: Fixture) {
    let (f, _db) = shop(f).await;
    let mut db = f.file().connect();
    db.busy_timeout(Duration::ZERO).unwrap();
    f.freeze();
    let tx = db.transaction().unwrap();
    let error = f.queue.add_in(&tx, "x", &1).write().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    f.thaw();
    // Nothing is broken by it.
    f.queue.add_in(&tx, "x", &1).write().unwrap();
    tx.commit().unwrap();
    assert_eq!(waiting(&f.queue).await, 1);
}
