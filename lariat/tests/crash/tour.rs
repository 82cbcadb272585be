//! A process that does one of each thing that is answered, one after the other, and says of each what holds since.

use std::sync::Arc;
use std::time::Duration;

use interop::wait;
use lariat::rusqlite::{Connection, TransactionBehavior};
use lariat::{
    IntoOutcome, Job, JobError, JobId, Manual, NewJob, Outcome, Queue, RateLimit, Store, TakenJob, Worker, WorkerEvent,
};
use lariat_lock::LockStore;

use crate::child::{By, History, Orders, Told};
use crate::lab::of_job;
use crate::power::LAST;
use crate::ways::{caller, complete_with_receipt, completed_with_receipt, make_receipts, renew};

const HOUR: Duration = Duration::from_secs(3600);

struct Tour {
    queue: Queue,
    caller: Connection,
    locks: Arc<dyn LockStore>,
    history: Arc<History>,
}

pub(crate) async fn tour(store: &Store, orders: &Orders, history: Arc<History>) {
    let queue = Queue::new(store, &orders.queue).unwrap();
    // The first search for stalled jobs is a commit, too: it is not to come in between.
    let hand = Manual::builder(store, &orders.queue).stalled_interval(HOUR).start().unwrap();
    let caller = caller(orders);
    wait::until_async("the file is made, and searched", || async {
        caller.query_row("SELECT count(*) FROM lariat_queue WHERE searched_until > 0", [], |row| row.get(0)) == Ok(1)
    })
    .await;
    make_receipts(&caller);
    let locks = store.locks(&orders.queue).unwrap();
    let mut tour = Tour { queue, caller, locks, history };
    tour.adds().await;
    tour.changes().await;
    tour.by_hand(&hand).await;
    tour.settings(store).await;
    tour.worker(store, orders).await;
}

/// That it is not so.
fn not(sql: &str) -> String {
    format!("SELECT NOT ({sql})")
}

impl Tour {
    fn holds(&self, what: &str, sql: String) {
        self.history.tell(&Told::Holds { what: what.to_owned(), sql, by: By::Store });
    }

    fn add(&self, name: &str) -> lariat::Adding<'_> {
        self.queue.add(name, &0).attempts(2)
    }

    async fn adds(&self) {
        let id = self.add("n").await.unwrap();
        self.holds("add", of_job(&id, "state = 0"));
        let ids = self.queue.add_bulk((0..3).map(|n| NewJob::new("n", &n))).await.unwrap();
        self.holds("add_bulk", of_job(&ids[2], "state = 0"));
        let id = self.add("n").delay(HOUR).await.unwrap();
        self.holds("add, delayed", of_job(&id, "state = 2"));
        let id = self.add("n").priority(5).await.unwrap();
        self.holds("add, prioritized", of_job(&id, "state = 3"));
        for id in ids.iter().chain([&id]) {
            self.queue.edit(id).remove().await.unwrap();
            self.holds("remove", not(&of_job(id, "true")));
        }
    }

    async fn changes(&self) {
        let id = self.add("n").delay(HOUR).await.unwrap();
        let edit = self.queue.edit(&id);
        edit.delay(HOUR * 2).await.unwrap();
        self.holds("delay", of_job(&id, "delay = 7200000"));
        edit.priority(7, false).await.unwrap();
        self.holds("priority", of_job(&id, "priority = 7"));
        edit.promote().await.unwrap();
        self.holds("promote", of_job(&id, "state = 3"));
        edit.progress(&42).await.unwrap();
        self.holds("progress", of_job(&id, "progress = '42'"));
        edit.data(&"new").await.unwrap();
        self.holds("data", "SELECT count(*) FROM lariat_payload WHERE data = '\"new\"'".to_owned());
        edit.log(vec!["one".into(), "two".into()], None).await.unwrap();
        self.holds("log", "SELECT count(*) = 2 FROM lariat_log".to_owned());
        edit.trim_log(1).await.unwrap();
        self.holds("trim_log", "SELECT count(*) FROM lariat_log".to_owned());
        edit.remove().await.unwrap();
    }

    async fn take(&self, hand: &Manual) -> TakenJob {
        let taken = hand.take().await.unwrap().unwrap();
        self.holds("take", of_job(taken.job().id(), "state = 1"));
        renew(&*self.locks, taken.job()).await;
        taken
    }

    async fn by_hand(&mut self, hand: &Manual) {
        let taken = self.take(hand).await;
        let id = taken.job().id().clone();
        taken.retry("not yet").await.unwrap();
        self.holds("retry", of_job(&id, "state = 0 AND made = 1"));
        self.take(hand).await.put_back().await.unwrap();
        self.holds("put_back", of_job(&id, "state = 0 AND made = 1"));
        self.take(hand).await.fail("never").await.unwrap();
        self.holds("fail", of_job(&id, "state = 5"));
        self.queue.edit(&id).retry().await.unwrap();
        self.holds("retry of a failed job", of_job(&id, "state = 0"));
        self.take(hand).await.delay(HOUR).await.unwrap();
        self.holds("delay of a taken job", of_job(&id, "state = 2"));
        self.queue.edit(&id).promote().await.unwrap();
        self.take(hand).await.complete(&1).await.unwrap();
        self.holds("complete", of_job(&id, "state = 4"));
        self.in_transactions(hand).await;
    }

    async fn in_transactions(&mut self, hand: &Manual) {
        let tx = self.caller.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let id = self.queue.add_in(&tx, "n", &0).write().unwrap();
        tx.commit().unwrap();
        tell_of_caller(&self.history, "add_in", of_job(&id, "state = 0"));
        let taken = self.take(hand).await;
        complete_in(taken.job(), &mut self.caller, &self.history).unwrap();
    }

    async fn settings(&self, store: &Store) {
        let queue = |holds: &str| format!("SELECT count(*) FROM lariat_queue WHERE {holds}");
        self.queue.pause().await.unwrap();
        self.holds("pause", queue("paused = 1"));
        self.queue.resume().await.unwrap();
        self.holds("resume", queue("paused = 0"));
        self.queue.set_global_concurrency(Some(3)).await.unwrap();
        self.holds("set_global_concurrency", queue("concurrency = 3"));
        self.queue.set_global_rate_limit(Some(RateLimit { max: 1000, duration: HOUR })).await.unwrap();
        self.holds("set_global_rate_limit", queue("rate_max = 1000"));
        self.queue.rate_limit_for(HOUR).await.unwrap();
        self.holds("rate_limit_for", queue("started_until > 0"));
        self.queue.forget_rate_limit().await.unwrap();
        self.holds("forget_rate_limit", queue("started_until = 0"));
        let other = Queue::new(store, "other").unwrap();
        other.pause().await.unwrap();
        self.holds("pause of a new queue", queue("name = 'other'"));
        assert!(other.forget().await.unwrap());
        self.holds("forget", not(&queue("name = 'other'")));
    }

    async fn worker(&self, store: &Store, orders: &Orders) {
        let (history, ours) = (Arc::clone(&self.history), orders.clone());
        let worker = Worker::builder(store, &orders.queue)
            .stalled_interval(HOUR)
            .start(move |job: Job| handle(job, ours.clone(), Arc::clone(&history)))
            .unwrap();
        let mut events = worker.events();
        // One after the other: a commit of one may sync what is not told yet of another.
        for name in ["complete", "fail", "retry", "complete_in"] {
            let id = self.add(name).await.unwrap();
            while !self.ended(&events.next().await.unwrap(), name, &id) {}
        }
        worker.close(wait::DEADLINE).await;
        let id = self.add("n").await.unwrap();
        self.holds(LAST, of_job(&id, "state = 0"));
    }

    /// Tells what the worker says of its only job; whether that has come to its end.
    fn ended(&self, event: &WorkerEvent, name: &str, id: &JobId) -> bool {
        match event {
            WorkerEvent::Completed { .. } => {
                // That commit was its caller's, and has been told.
                if name != "complete_in" {
                    self.holds("a worker's completion", of_job(id, "state = 4"));
                }
                true
            }
            WorkerEvent::Failed { .. } => {
                self.holds("a worker's failure", of_job(id, "state = 5"));
                true
            }
            WorkerEvent::Retrying { .. } => {
                // By then it may run again.
                self.holds("a worker's retry", of_job(id, "made >= 1"));
                false
            }
            WorkerEvent::LockLost { .. } | WorkerEvent::ResultRefused { .. } | WorkerEvent::StoreLost { .. } => {
                panic!("{event:?}")
            }
            _ => false,
        }
    }
}

fn tell_of_caller(history: &History, what: &str, sql: String) {
    history.tell(&Told::Holds { what: what.to_owned(), sql, by: By::Caller });
}

fn complete_in(job: &Job, caller: &mut Connection, history: &History) -> Result<Outcome, JobError> {
    let committed = complete_with_receipt(job, caller)?;
    tell_of_caller(history, "complete_in", of_job(job.id(), &completed_with_receipt(job.id().as_str())));
    committed.into_outcome()
}

async fn handle(job: Job, orders: Orders, history: Arc<History>) -> Result<Outcome, JobError> {
    let holds = |what: &str, sql| history.tell(&Told::Holds { what: what.to_owned(), sql, by: By::Store });
    match job.name() {
        "fail" => Err(JobError::fail("never")),
        "retry" if job.attempt() == 1 => {
            job.progress(&7).await?;
            holds("a handler's progress", of_job(job.id(), "progress = '7'"));
            job.log("a row").await?;
            holds("a handler's log", "SELECT count(*) FROM lariat_log WHERE line = 'a row'".to_owned());
            Err(JobError::retry("not yet"))
        }
        "complete_in" => complete_in(&job, &mut caller(&orders), &history),
        _ => Outcome::done(&1),
    }
}
