//! Completing a job together with rows of the test's own, in one transaction: both, or neither.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use interop::wait;
use lariat::rusqlite::{Connection, DropBehavior, Transaction, TransactionBehavior};
use lariat::{
    CancelReason, Error, ErrorKind, EventKind, Job, JobError, JobState, Keep, LossReason, Manual, QueueEvents, Refusal,
    Store, Worker, WorkerEvent, WorkerEvents,
};

use crate::child::Child;
use crate::file::TestFile;
use crate::fixture::{Fixture, QUEUE, SECOND, event, on_both_stores};

on_both_stores! {
    a_job_can_be_completed_in_a_transaction_exactly_where_the_store_says_so,
    [needs transactions]
    the_job_and_the_rows_are_there_together,
    a_completion_in_a_transaction_leaves_what_any_other_leaves,
    after_a_rollback_the_handler_goes_on_under_its_lock on 2 threads,
    a_loss_after_a_rollback_stops_the_handler,
    a_lost_lock_is_an_error_and_nothing_is_kept,
    a_lock_that_has_lapsed_in_the_file_is_refused,
    the_end_of_trust_does_not_withdraw_a_completion_under_way on 2 threads,
    what_a_handler_returns_after_its_commit_changes_nothing,
    an_error_in_the_transaction_is_a_failed_attempt_and_the_next_one_may_commit,
    a_cancelled_job_is_not_committed on 2 threads,
    a_commit_that_comes_first_counts on 2 threads,
    a_job_taken_by_hand_is_completed_the_same_way,
    a_crash_between_the_rows_and_the_completion_is_impossible,
}

/// Makes a table of the test's own in the store's file.
async fn open_shop(f: &Fixture) {
    f.store.ping().await.unwrap();
    f.file().connect().execute_batch("CREATE TABLE charge (cents INTEGER NOT NULL)").unwrap();
}

fn begin(db: &mut Connection) -> Transaction<'_> {
    db.transaction_with_behavior(TransactionBehavior::Immediate).unwrap()
}

fn charge(db: &mut Connection) -> Transaction<'_> {
    let tx = begin(db);
    tx.execute("INSERT INTO charge VALUES (100)", []).unwrap();
    tx
}

fn charges(f: &Fixture) -> i64 {
    f.file().connect().query_row("SELECT count(*) FROM charge", [], |row| row.get(0)).unwrap()
}

/// A worker whose handler does its part in a transaction, on a connection made for it.
fn worker<T: lariat::IntoOutcome + 'static>(
    f: &Fixture,
    with: impl FnOnce(lariat::WorkerBuilder) -> lariat::WorkerBuilder,
    handle: impl Fn(&Job, &mut Connection) -> Result<T, JobError> + Send + Sync + 'static,
) -> (Worker, WorkerEvents) {
    let path = f.file().path();
    let handle = Arc::new(handle);
    let handler = move |job: Job| {
        let (handle, path) = (Arc::clone(&handle), path.clone());
        async move {
            let mut db = Connection::open(path)?;
            db.busy_timeout(wait::DEADLINE)?;
            handle(&job, &mut db)
        }
    };
    let worker = with(f.worker()).start(handler).unwrap();
    let events = worker.events();
    (worker, events)
}

fn as_it_is(builder: lariat::WorkerBuilder) -> lariat::WorkerBuilder {
    builder
}

/// All that a worker says to its end.
async fn told(worker: Worker, mut events: WorkerEvents) -> Vec<WorkerEvent> {
    worker.close(SECOND).await;
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.push(event);
    }
    told
}

async fn a_job_can_be_completed_in_a_transaction_exactly_where_the_store_says_so(f: Fixture) {
    let can = f.store.capabilities().transactions;
    let id = f.queue.add("charge", &100).await.unwrap();
    let elsewhere = TestFile::new();
    let mut db = if can { f.file().connect() } else { elsewhere.connect() };
    let jobs = Manual::builder(&f.store, QUEUE).start().unwrap();
    let taken = jobs.take_or_wait(wait::DEADLINE).await.unwrap().unwrap();
    match taken.complete_in(begin(&mut db), &"charged") {
        Ok(done) => drop(done.commit().unwrap()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().contains("Capabilities::transactions"), "{error}");
            assert!(taken.job().cancel_reason().is_none(), "it can be completed in another way");
            taken.complete("charged").await.unwrap();
            assert!(!can);
        }
    }
    let job = f.job(&id).await;
    assert_eq!((job.state, job.record.return_value.unwrap().get()), (Some(JobState::Completed), "\"charged\""));
}

async fn the_job_and_the_rows_are_there_together(f: Fixture) {
    open_shop(&f).await;
    let id = f.queue.add("charge", &100).await.unwrap();
    let (worker, events) = worker(&f, as_it_is, |job, db| {
        let done = job.complete_in(charge(db), &"charged")?;
        done.execute("INSERT INTO charge VALUES (1)", [])?;
        Ok(done.commit()?)
    });
    let job = f.until(&id, JobState::Completed).await;
    assert_eq!((job.record.return_value.unwrap().get(), charges(&f)), ("\"charged\"", 2));
    assert_eq!((job.record.attempts_made, f.lock_of("1")), (1, None));
    let told = told(worker, events).await;
    assert_eq!(told.iter().filter(|e| matches!(e, WorkerEvent::Completed { .. })).count(), 1, "{told:?}");
    assert!(!told.iter().any(|e| matches!(e, WorkerEvent::ResultRefused { .. })), "{told:?}");
}

/// The same jobs in two queues, one completed by its worker, one in transactions: the same is left.
async fn a_completion_in_a_transaction_leaves_what_any_other_leaves(f: Fixture) {
    let mut left = Vec::new();
    for in_transaction in [false, true] {
        let f = f.another();
        open_shop(&f).await;
        let mut events = QueueEvents::from_now(&f.store, QUEUE).await.unwrap();
        for n in 0..4 {
            f.queue.add("x", &n).await.unwrap();
        }
        f.queue.add("gone", &0).remove_on_complete(Keep::NONE).await.unwrap();
        let with = |w: lariat::WorkerBuilder| w.remove_on_complete(Keep::last(2)).metrics(10);
        let (worker, _) = worker(&f, with, move |job, db| {
            if in_transaction {
                let _receipt = job.complete_in(begin(db), &job.attempt())?.commit()?;
                return Ok(0);
            }
            Ok(job.attempt())
        });
        wait::until_async("all have ended", || async { f.queue.overview().await.unwrap().counts.unfinished() == 0 })
            .await;
        worker.close(SECOND).await;
        let mut said = Vec::new();
        loop {
            let event = events.next().await.unwrap();
            let last = matches!(event.kind, EventKind::Drained);
            said.push(event.raw);
            if last {
                break;
            }
        }
        let file = f.file().connect();
        let ended: i64 = file.query_row("SELECT sum(ended) FROM lariat_metric", [], |row| row.get(0)).unwrap();
        let kept = f.queue.jobs(JobState::Completed, 0, 10).await.unwrap().jobs;
        let kept: Vec<_> = kept
            .iter()
            .map(|j| (j.id.to_string(), j.return_value.clone().unwrap().get().to_owned(), j.attempts_made))
            .collect();
        assert_eq!((kept.len(), ended), (2, 5));
        left.push((said, kept, ended, f.queue.overview().await.unwrap().counts));
    }
    assert_eq!(left[0], left[1]);
}

async fn after_a_rollback_the_handler_goes_on_under_its_lock(f: Fixture) {
    open_shop(&f).await;
    let id = f.queue.add("charge", &100).await.unwrap();
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    // Committing by itself is no way round it.
    let (worker, mut events) = worker(
        &f,
        |w| w.lock_duration(Duration::from_millis(800)).concurrency(2),
        move |job, db| {
            let mut tx = charge(db);
            tx.set_drop_behavior(DropBehavior::Commit);
            drop(job.complete_in(tx, &"undone")?);
            gone.lock().unwrap().recv().unwrap();
            Ok("done at last")
        },
    );
    event(&mut events, |e| matches!(e, WorkerEvent::Active { .. }).then_some(())).await;
    f.until(&id, JobState::Active).await;
    // Two renewals are a lock duration: three have passed then.
    wait::until_async("its lock is renewed", || async { worker.lock_metrics().renewed >= 6 }).await;
    assert!(f.lock_of("1").is_some(), "renewed after the rollback");
    assert!(worker.smallest_trust().unwrap() > Duration::ZERO);
    go.send(()).unwrap();
    let job = f.until(&id, JobState::Completed).await;
    assert_eq!((job.record.return_value.unwrap().get(), charges(&f)), ("\"done at last\"", 0));
}

async fn a_loss_after_a_rollback_stops_the_handler(f: Fixture) {
    open_shop(&f).await;
    f.queue.add("charge", &100).await.unwrap();
    let path = f.file().path();
    let (rolled, back) = tokio::sync::oneshot::channel();
    let rolled = Arc::new(Mutex::new(Some(rolled)));
    let handler = move |job: Job| {
        let (path, rolled) = (path.clone(), Arc::clone(&rolled));
        async move {
            let mut db = Connection::open(path)?;
            drop(job.complete_in(begin(&mut db), &"undone")?);
            rolled.lock().unwrap().take().unwrap().send(()).unwrap();
            Ok::<_, JobError>(job.cancelled().await.to_string())
        }
    };
    let worker = f.worker().lock_duration(Duration::from_millis(800)).start(handler).unwrap();
    let mut events = worker.events();
    back.await.unwrap();
    // Only now, when it is tracked anew.
    f.give_lock("1", "somebody-else");
    let reason = event(&mut events, |e| match e {
        WorkerEvent::LockLost { reason, .. } => Some(reason),
        _ => None,
    })
    .await;
    assert_eq!(reason, LossReason::Taken);
    wait::until_async("the slot is free", || async { worker.active().is_empty() }).await;
}

async fn a_lost_lock_is_an_error_and_nothing_is_kept(f: Fixture) {
    open_shop(&f).await;
    f.queue.add("charge", &100).await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::<Error>::new()));
    let (file, keep) = (f.file().path(), Arc::clone(&seen));
    let (worker, mut events) = worker(&f, as_it_is, move |job, db| {
        let thief = Connection::open(&file)?;
        thief.execute("UPDATE lariat_job SET token = 'somebody-else'", [])?;
        let mut tx = charge(db);
        tx.set_drop_behavior(DropBehavior::Commit);
        keep.lock().unwrap().push(job.complete_in(tx, &"charged").unwrap_err());
        assert_eq!(job.cancel_reason(), Some(CancelReason::LockLost(LossReason::Taken)));
        keep.lock().unwrap().push(job.complete_in(charge(db), &"charged").unwrap_err());
        Ok("not to be believed")
    });
    event(&mut events, |e| matches!(e, WorkerEvent::LockLost { .. }).then_some(())).await;
    wait::until_async("the slot is free", || async { worker.active().is_empty() }).await;
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen[0].refusal(), Some(Refusal::LockTaken), "{seen:?}");
    assert_eq!((seen[0].job(), seen[1].kind()), (Some("1"), ErrorKind::Closed), "{seen:?}");
    assert_eq!((charges(&f), f.state(&"1".parse_id()).await), (0, Some(JobState::Active)));
    assert_eq!(f.lock_of("1").as_deref(), Some("somebody-else"));
}

async fn a_lock_that_has_lapsed_in_the_file_is_refused(f: Fixture) {
    open_shop(&f).await;
    f.queue.add("charge", &100).await.unwrap();
    let jobs = Manual::builder(&f.store, QUEUE).start().unwrap();
    let taken = jobs.take_or_wait(wait::DEADLINE).await.unwrap().unwrap();
    f.file().connect().execute("UPDATE lariat_job SET lock_until = 1", []).unwrap();
    let mut db = f.file().connect();
    let error = taken.complete_in(charge(&mut db), &"charged").unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::MissingLock), "{error}");
    assert_eq!(charges(&f), 0);
}

/// The lock cannot be renewed while the transaction is open; once the store has judged, that takes nothing back.
async fn the_end_of_trust_does_not_withdraw_a_completion_under_way(f: Fixture) {
    open_shop(&f).await;
    let id = f.queue.add("charge", &100).await.unwrap();
    let (worker, events) = worker(
        &f,
        |w| w.lock_duration(Duration::from_millis(600)).concurrency(2),
        |job, db| {
            let done = job.complete_in(charge(db), &"charged")?;
            wait::until("trust is over", || job.lock_left().is_zero());
            assert!(job.cancel_reason().is_none());
            Ok(done.commit()?)
        },
    );
    f.until(&id, JobState::Completed).await;
    assert_eq!(charges(&f), 1);
    let told = told(worker, events).await;
    assert!(!told.iter().any(|e| matches!(e, WorkerEvent::LockLost { .. })), "{told:?}");
    assert!(told.iter().any(|e| matches!(e, WorkerEvent::Completed { .. })), "{told:?}");
}

async fn what_a_handler_returns_after_its_commit_changes_nothing(f: Fixture) {
    for how in ["error", "panic", "value", "other"] {
        let f = f.another();
        open_shop(&f).await;
        let id = f.queue.add(how, &()).attempts(3).await.unwrap();
        let (worker, events) = worker(&f, as_it_is, |job, db| {
            let receipt = job.complete_in(charge(db), &"charged")?.commit()?;
            assert_eq!(job.complete_in(begin(db), &"again").unwrap_err().kind(), ErrorKind::Closed);
            match job.name() {
                "error" => Err(JobError::retry("too late")),
                "panic" => panic!("too late"),
                "value" => Ok(lariat::Outcome::done(&"another value")?),
                _ => lariat::IntoOutcome::into_outcome(receipt),
            }
        });
        f.until(&id, JobState::Completed).await;
        wait::until_async("the slot is free", || async { worker.is_idle() }).await;
        let told = told(worker, events).await;
        let odd = |e: &WorkerEvent| matches!(e, WorkerEvent::Retrying { .. } | WorkerEvent::ResultRefused { .. });
        assert!(!told.iter().any(odd), "{how}: {told:?}");
        assert_eq!(told.iter().filter(|e| matches!(e, WorkerEvent::Completed { .. })).count(), 1, "{how}: {told:?}");
        let job = f.job(&id).await;
        assert_eq!((job.state, job.record.attempts_made), (Some(JobState::Completed), 1));
        assert_eq!((job.record.return_value.unwrap().get(), charges(&f)), ("\"charged\"", 1));
    }
}

async fn an_error_in_the_transaction_is_a_failed_attempt_and_the_next_one_may_commit(f: Fixture) {
    open_shop(&f).await;
    let id = f.queue.add("charge", &()).attempts(2).await.unwrap();
    let (worker, _) = worker(&f, as_it_is, |job, db| {
        let done = job.complete_in(charge(db), &job.attempt())?;
        if job.attempt() == 1 {
            done.execute("INSERT INTO no_such_table VALUES (1)", [])?;
        }
        Ok(done.commit()?)
    });
    let job = f.until(&id, JobState::Completed).await;
    assert_eq!((job.record.return_value.unwrap().get(), job.record.attempts_made, charges(&f)), ("2", 2, 1));
    worker.close(SECOND).await;
}

/// Whoever was told that the job is cancelled may rely on it.
async fn a_cancelled_job_is_not_committed(f: Fixture) {
    open_shop(&f).await;
    let id = f.queue.add("charge", &()).await.unwrap();
    let (worker, mut events) = worker(
        &f,
        |w| w.concurrency(2),
        |job, db| {
            let done = job.complete_in(charge(db), &"charged")?;
            wait::until("it is cancelled", || job.cancel_reason().is_some());
            let error = done.commit().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            Ok("not to be believed")
        },
    );
    event(&mut events, |e| matches!(e, WorkerEvent::Active { .. }).then_some(())).await;
    assert!(worker.cancel(&id, "a bad card"));
    let job = f.until(&id, JobState::Failed).await;
    assert_eq!((job.record.failed_reason.as_deref(), charges(&f)), (Some("a bad card"), 0));
}

/// A handler that is given up while a thread of its own commits: the store judges, and the worker says what came of it.
async fn a_commit_that_comes_first_counts(f: Fixture) {
    open_shop(&f).await;
    let id = f.queue.add("charge", &()).attempts(3).await.unwrap();
    let path = f.file().path();
    let handler = move |job: Job| {
        let path = path.clone();
        async move {
            let (joined, is_joined) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || {
                let mut db = Connection::open(path).unwrap();
                let done = job.complete_in(charge(&mut db), &"charged").unwrap();
                joined.send(()).unwrap();
                // sleep: the worker's own outcome is on its way by then, and waits for the file
                std::thread::sleep(Duration::from_millis(200));
                let _receipt = done.commit().unwrap();
            });
            is_joined.await.unwrap();
            Err::<(), _>(JobError::retry("does not wait for its thread"))
        }
    };
    let worker = f.worker().start(handler).unwrap();
    let mut events = worker.events();
    event(&mut events, |e| match e {
        WorkerEvent::Completed { id } => Some(id),
        WorkerEvent::ResultRefused { .. } | WorkerEvent::Retrying { .. } => panic!("{e:?}"),
        _ => None,
    })
    .await;
    assert_eq!((f.state(&id).await, charges(&f)), (Some(JobState::Completed), 1));
}

async fn a_job_taken_by_hand_is_completed_the_same_way(f: Fixture) {
    open_shop(&f).await;
    let id = f.queue.add("charge", &()).await.unwrap();
    let jobs = Manual::builder(&f.store, QUEUE).start().unwrap();
    let mut db = f.file().connect();
    let taken = jobs.take_or_wait(wait::DEADLINE).await.unwrap().unwrap();
    drop(taken.complete_in(charge(&mut db), &"undone").unwrap());
    taken.put_back().await.unwrap();
    let taken = jobs.take_or_wait(wait::DEADLINE).await.unwrap().unwrap();
    let _receipt = taken.complete_in(charge(&mut db), &"charged").unwrap().commit().unwrap();
    assert_eq!(taken.fail("too late").await.unwrap_err().kind(), ErrorKind::Closed);
    assert!(jobs.take().await.unwrap().is_none(), "not put back");
    assert_eq!((f.state(&id).await, charges(&f)), (Some(JobState::Completed), 1));
    let id = f.queue.add("charge", &()).await.unwrap();
    let taken = jobs.take_or_wait(wait::DEADLINE).await.unwrap().unwrap();
    let _receipt = taken.complete_in(charge(&mut db), &"charged").unwrap().commit().unwrap();
    drop(taken);
    assert!(jobs.take().await.unwrap().is_none(), "not put back");
    assert_eq!((f.state(&id).await, charges(&f)), (Some(JobState::Completed), 2));
}

/// One that is killed before its commit leaves neither, one that is killed after it both.
async fn a_crash_between_the_rows_and_the_completion_is_impossible(f: Fixture) {
    open_shop(&f).await;
    let id = f.queue.add("charge", &()).await.unwrap();
    let mut child = Child::start("complete_in::child_completes", &f.file().path());
    child.says("written");
    child.kill();
    assert_eq!((charges(&f), f.state(&id).await), (0, Some(JobState::Active)));
    f.drop_lock("1");
    f.suspect("1");
    let mut child = Child::start("complete_in::child_completes", &f.file().path());
    child.says("written");
    child.tell("commit");
    child.says("committed");
    // Its handler has not returned, and never will.
    child.kill();
    let job = f.job(&id).await;
    assert_eq!((charges(&f), job.state, job.record.attempts_made), (1, Some(JobState::Completed), 1));
}

#[test]
#[ignore = "a process that another test starts"]
fn child_completes() {
    let Some(path) = Child::path() else { return };
    let run = async {
        let store = Store::open(&format!("sqlite:{}", path.display())).unwrap();
        let handler = move |job: Job| {
            let path = path.clone();
            async move {
                let mut db = Connection::open(path)?;
                let done = job.complete_in(charge(&mut db), &"charged")?;
                println!("\nwritten");
                std::io::stdin().read_line(&mut String::new())?;
                let receipt = done.commit()?;
                println!("\ncommitted");
                std::io::stdin().read_line(&mut String::new())?;
                Ok::<_, JobError>(receipt)
            }
        };
        let worker = Worker::builder(&store, QUEUE).stalled_interval(SECOND).start(handler).unwrap();
        worker.stopped().await;
    };
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(run);
}

/// An id as the queue hands it out.
trait ParseId {
    fn parse_id(&self) -> lariat::JobId;
}

impl ParseId for str {
    fn parse_id(&self) -> lariat::JobId {
        lariat::JobId::existing(self).unwrap()
    }
}
