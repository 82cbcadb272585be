//! A connection of the caller's keeps its hooks: they are told, and asked, as ever when jobs are added and completed on it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lariat::rusqlite::hooks::Action;
use lariat::rusqlite::{Connection, Transaction, TransactionBehavior};
use lariat::{ErrorKind, Job, JobError, JobState, Outcome};

use crate::fixture::{Fixture, SECOND, on_both_stores};

on_both_stores! {
    [needs transactions]
    they_hear_of_added_jobs_and_may_refuse_them,
    they_hear_of_completed_jobs_and_may_refuse_that on 2 threads,
}

/// What the hooks of a connection were told.
#[derive(Default)]
struct Heard {
    commits: AtomicU32,
    rollbacks: AtomicU32,
    /// Rows that were written, by their table.
    rows: Mutex<Vec<(Action, String)>>,
    /// The next commit is to be refused.
    refuses: AtomicBool,
}

impl Heard {
    /// A connection with hooks that tell of it.
    fn on(f: &Fixture) -> (Connection, Arc<Heard>) {
        let (mut db, heard) = (f.file().connect(), Arc::new(Heard::default()));
        let told = Arc::clone(&heard);
        db.commit_hook(Some(move || {
            told.commits.fetch_add(1, Ordering::Relaxed);
            told.refuses.swap(false, Ordering::Relaxed)
        }))
        .unwrap();
        let told = Arc::clone(&heard);
        db.rollback_hook(Some(move || _ = told.rollbacks.fetch_add(1, Ordering::Relaxed))).unwrap();
        let told = Arc::clone(&heard);
        db.update_hook(Some(move |action, _: &str, table: &str, _| {
            told.rows.lock().unwrap_or_else(PoisonError::into_inner).push((action, table.to_owned()));
        }))
        .unwrap();
        (db, heard)
    }

    /// Commits, rollbacks, orders inserted, and rows of other tables that were written, since the last time.
    fn take(&self) -> (u32, u32, usize, usize) {
        let rows = std::mem::take(&mut *self.rows.lock().unwrap());
        let orders =
            rows.iter().filter(|(action, table)| *action == Action::SQLITE_INSERT && table == "orders").count();
        let (commits, rollbacks) = (&self.commits, &self.rollbacks);
        (commits.swap(0, Ordering::Relaxed), rollbacks.swap(0, Ordering::Relaxed), orders, rows.len() - orders)
    }
}

/// Puts a table of the test's own into the file.
async fn open_shop(f: &Fixture) {
    f.store.ping().await.unwrap();
    f.file().connect().execute_batch("CREATE TABLE orders (n INTEGER NOT NULL)").unwrap();
}

fn order(db: &mut Connection) -> Transaction<'_> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    tx.execute("INSERT INTO orders VALUES (1)", []).unwrap();
    tx
}

fn orders(f: &Fixture) -> i64 {
    f.file().connect().query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap()
}

async fn they_hear_of_added_jobs_and_may_refuse_them(f: Fixture) {
    open_shop(&f).await;
    let (mut db, heard) = Heard::on(&f);
    for round in 1..=2 {
        let tx = order(&mut db);
        let id = f.queue.add_in(&tx, "x", &1).write().unwrap();
        tx.commit().unwrap();
        let (commits, rollbacks, orders, others) = heard.take();
        assert_eq!((commits, rollbacks, orders), (1, 0, 1), "round {round}");
        assert!(others > 0, "the queue's rows are the connection's, too");
        assert_eq!(f.state(&id).await, Some(JobState::Waiting));
    }

    let tx = order(&mut db);
    f.queue.add_in(&tx, "x", &1).write().unwrap();
    drop(tx);
    let (commits, rollbacks, ..) = heard.take();
    assert_eq!((commits, rollbacks), (0, 1));

    heard.refuses.store(true, Ordering::Relaxed);
    let tx = order(&mut db);
    f.queue.add_in(&tx, "x", &1).write().unwrap();
    tx.commit().unwrap_err();
    let (commits, rollbacks, ..) = heard.take();
    assert_eq!((commits, rollbacks), (1, 1));
    assert_eq!((orders(&f), f.queue.overview().await.unwrap().counts.waiting), (2, 2));
}

async fn they_hear_of_completed_jobs_and_may_refuse_that(f: Fixture) {
    open_shop(&f).await;
    let id = f.queue.add("x", &1).await.unwrap();
    let (db, heard) = Heard::on(&f);
    let (db, ear) = (Arc::new(Mutex::new(db)), Arc::clone(&heard));
    let handler = move |job: Job| {
        let (db, heard) = (Arc::clone(&db), Arc::clone(&ear));
        async move {
            let mut db = db.lock().unwrap();
            heard.refuses.store(true, Ordering::Relaxed);
            let refused = job.complete_in(order(&mut db), &"refused")?.commit().unwrap_err();
            assert_eq!((refused.kind(), job.cancel_reason()), (ErrorKind::Store, None), "{refused}");
            let (commits, rollbacks, orders, _) = heard.take();
            assert_eq!((commits, rollbacks, orders), (1, 1, 1));
            // The job is still its own.
            let committed = job.complete_in(order(&mut db), &"taken in")?.commit()?;
            Ok::<_, JobError>(Outcome::Committed(committed))
        }
    };
    let worker = f.worker().start(handler).unwrap();
    let job = f.until(&id, JobState::Completed).await;
    assert_eq!((job.record.return_value.unwrap().get(), job.record.attempts_made), ("\"taken in\"", 1));
    worker.close(SECOND).await;
    let (commits, rollbacks, of_orders, others) = heard.take();
    assert_eq!((commits, rollbacks, of_orders, orders(&f)), (1, 0, 1, 1));
    assert!(others > 0);
}
