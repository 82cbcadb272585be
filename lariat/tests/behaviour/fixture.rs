//! A server of the test's own with one queue on it, and ways to look at both.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use interop::redis::RedisServer;
use interop::wait;
use lariat::{Job, JobId, JobState, Queue, Store, StoredJob, Worker, WorkerBuilder, WorkerEvent, WorkerEvents};
use redis::FromRedisValue;
use tokio::sync::{mpsc, watch};

pub(crate) const QUEUE: &str = "mail";

/// One server, one queue.
pub(crate) struct Fixture {
    pub server: RedisServer,
    pub store: Store,
    pub queue: Queue,
}

impl Fixture {
    pub(crate) fn start() -> Fixture {
        Fixture::on(RedisServer::start())
    }

    /// On a server that has its data again after a restart.
    pub(crate) fn start_kept() -> Fixture {
        Fixture::on(RedisServer::builder().option("--appendonly", "yes").option("--appendfsync", "always").start())
    }

    pub(crate) fn on(server: RedisServer) -> Fixture {
        let store = Store::open(&server.url()).unwrap();
        let queue = Queue::new(&store, QUEUE).unwrap();
        Fixture { server, store, queue }
    }

    pub(crate) fn worker(&self) -> WorkerBuilder {
        Worker::builder(&self.store, QUEUE)
    }

    /// One command on a connection of the test's own; the words are split at spaces.
    pub(crate) fn redis<T: FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut cmd = redis::cmd(words.next().unwrap());
        cmd.arg(words.collect::<Vec<_>>());
        cmd.query(&mut self.server.connection()).unwrap()
    }

    pub(crate) async fn job(&self, id: &JobId) -> StoredJob {
        self.queue.job(id).await.unwrap().expect("the job is there")
    }

    pub(crate) async fn state(&self, id: &JobId) -> Option<JobState> {
        self.queue.job(id).await.unwrap().and_then(|job| job.state)
    }

    /// Waits until the job is in this state, and hands it out.
    pub(crate) async fn until(&self, id: &JobId, state: JobState) -> StoredJob {
        wait::until_async(&format!("job {id} is {state}"), || async { self.state(id).await == Some(state) }).await;
        self.job(id).await
    }
}

/// Waits for an event that `pick` wants.
pub(crate) async fn event<T>(events: &mut WorkerEvents, mut pick: impl FnMut(WorkerEvent) -> Option<T>) -> T {
    let wanted = async {
        loop {
            let event = events.next().await.expect("the worker has ended");
            if let Some(found) = pick(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(wait::DEADLINE, wanted).await.expect("the event came")
}

/// A handler that reports each start, and ends when the test says so.
#[derive(Clone)]
pub(crate) struct Gate {
    open: watch::Sender<bool>,
    started: mpsc::UnboundedSender<Job>,
    starts: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Job>>>,
    /// Ids whose handler came to its end.
    pub ended: Arc<Mutex<Vec<String>>>,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        let (started, starts) = mpsc::unbounded_channel();
        let starts = Arc::new(tokio::sync::Mutex::new(starts));
        Gate { open: watch::Sender::new(false), started, starts, ended: Arc::default() }
    }

    /// A handler that waits for the gate and ignores its signal to stop.
    pub(crate) fn handler(&self) -> impl Fn(Job) -> futures_like::Boxed + Send + Sync + 'static {
        let gate = self.clone();
        move |job| {
            let gate = gate.clone();
            Box::pin(async move {
                gate.started.send(job.clone()).unwrap();
                let mut open = gate.open.subscribe();
                open.wait_for(|open| *open).await.unwrap();
                gate.ended.lock().unwrap().push(job.id().to_string());
                Ok(format!("{} done", job.name()))
            })
        }
    }

    /// The next job whose handler has begun.
    pub(crate) async fn started(&self) -> Job {
        let mut starts = self.starts.lock().await;
        tokio::time::timeout(wait::DEADLINE, starts.recv()).await.expect("a handler begins").unwrap()
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }
}

pub(crate) mod futures_like {
    use std::future::Future;
    use std::pin::Pin;

    /// What a handler in a variable returns.
    pub(crate) type Boxed = Pin<Box<dyn Future<Output = Result<String, lariat::JobError>> + Send>>;
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);
