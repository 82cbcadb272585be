//! A store of the test's own with one queue on it, and ways to look at both.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use interop::redis::RedisServer;
use interop::wait;
use lariat::{Job, JobId, JobState, Queue, Store, StoredJob, Worker, WorkerBuilder, WorkerEvent, WorkerEvents};
use redis::FromRedisValue;
use tokio::sync::{mpsc, watch};

use crate::file::TestFile;

pub(crate) const QUEUE: &str = "mail";

/// Makes of each test, a function of a [`Fixture`], one for each store.
macro_rules! on_both_stores {
    ($($test:ident $(on $threads:tt threads)?,)*) => {
        mod on_redis {
            $(crate::fixture::one_test! { $test start $($threads)? })*
        }
        mod on_sqlite {
            $(crate::fixture::one_test! { $test in_a_file $($threads)? })*
        }
    };
}

macro_rules! one_test {
    ($test:ident $store:ident) => {
        #[tokio::test]
        async fn $test() {
            super::$test(crate::fixture::Fixture::$store()).await;
        }
    };
    ($test:ident $store:ident $threads:tt) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = $threads)]
        async fn $test() {
            super::$test(crate::fixture::Fixture::$store()).await;
        }
    };
}

pub(crate) use {on_both_stores, one_test};

/// One store, one queue.
pub(crate) struct Fixture {
    pub server: Place,
    pub store: Store,
    pub queue: Queue,
}

/// Where the store is. Tests of what only a server does take it for one.
pub(crate) enum Place {
    Redis(RedisServer),
    Sqlite(TestFile),
}

impl Deref for Place {
    type Target = RedisServer;

    fn deref(&self) -> &RedisServer {
        match self {
            Place::Redis(server) => server,
            Place::Sqlite(_) => panic!("only Redis has a server"),
        }
    }
}

impl DerefMut for Place {
    fn deref_mut(&mut self) -> &mut RedisServer {
        match self {
            Place::Redis(server) => server,
            Place::Sqlite(_) => panic!("only Redis has a server"),
        }
    }
}

impl Fixture {
    /// On a Redis server.
    pub(crate) fn start() -> Fixture {
        Fixture::on(RedisServer::start())
    }

    /// On a server that has its data again after a restart.
    pub(crate) fn start_kept() -> Fixture {
        Fixture::on(RedisServer::builder().option("--appendonly", "yes").option("--appendfsync", "always").start())
    }

    pub(crate) fn on(server: RedisServer) -> Fixture {
        let store = Store::open(&server.url()).unwrap();
        Fixture::new(Place::Redis(server), store)
    }

    /// In a SQLite file.
    pub(crate) fn in_a_file() -> Fixture {
        let file = TestFile::new();
        let store = Store::open(&file.url()).unwrap();
        Fixture::new(Place::Sqlite(file), store)
    }

    fn new(server: Place, store: Store) -> Fixture {
        let queue = Queue::new(&store, QUEUE).unwrap();
        Fixture { server, store, queue }
    }

    /// The file of a store in a file.
    pub(crate) fn file(&self) -> &TestFile {
        match &self.server {
            Place::Sqlite(file) => file,
            Place::Redis(_) => panic!("only a SQLite store has a file"),
        }
    }

    /// The store's URL.
    pub(crate) fn url(&self) -> String {
        match &self.server {
            Place::Redis(server) => server.url(),
            Place::Sqlite(file) => file.url(),
        }
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

    /// Calls of scripts that the server has seen.
    pub(crate) fn scripts_run(&self) -> u64 {
        let stats: String = self.redis("INFO commandstats");
        let line = |name: &str| {
            let rest = stats.split_once(&format!("cmdstat_{name}:calls="))?.1;
            rest.split_once(',')?.0.parse::<u64>().ok()
        };
        line("evalsha").unwrap_or(0) + line("eval").unwrap_or(0)
    }

    /// The token that holds a job's lock.
    pub(crate) fn lock_of(&self, id: &str) -> Option<String> {
        match &self.server {
            Place::Redis(_) => self.redis(&format!("GET bull:mail:{id}:lock")),
            Place::Sqlite(file) => file.lock_of(id),
        }
    }

    /// Gives a job's lock to somebody, for a minute.
    pub(crate) fn give_lock(&self, id: &str, token: &str) {
        match &self.server {
            Place::Redis(_) => self.redis::<()>(&format!("SET bull:mail:{id}:lock {token} PX 60000")),
            Place::Sqlite(file) => file.give_lock(id, token),
        }
    }

    /// Lets a job's lock be gone.
    pub(crate) fn drop_lock(&self, id: &str) {
        match &self.server {
            Place::Redis(_) => self.redis::<()>(&format!("DEL bull:mail:{id}:lock")),
            Place::Sqlite(file) => file.drop_lock(id),
        }
    }

    /// Lets the last search for stalled jobs have seen a job active.
    pub(crate) fn suspect(&self, id: &str) {
        match &self.server {
            Place::Redis(_) => self.redis::<()>(&format!("SADD bull:mail:stalled {id}")),
            Place::Sqlite(file) => file.suspect(id),
        }
    }

    /// Whether nothing has been written.
    pub(crate) fn is_untouched(&self) -> bool {
        match &self.server {
            Place::Redis(_) => self.redis::<Vec<String>>("KEYS *").is_empty(),
            Place::Sqlite(file) => file.is_untouched(),
        }
    }

    /// Whether nothing is left of a job but its events.
    pub(crate) fn has_no_trace_of(&self, id: &str) -> bool {
        match &self.server {
            Place::Redis(_) => self.redis::<Vec<String>>(&format!("KEYS bull:mail:{id}*")).is_empty(),
            Place::Sqlite(file) => file.has_no_trace_of(id),
        }
    }

    /// Lets a job be one that is to fail when it is taken next.
    pub(crate) fn doom(&self, id: &str, reason: &str) {
        match &self.server {
            Place::Redis(_) => self.redis::<()>(&format!("HSET bull:mail:{id} defa {reason}")),
            Place::Sqlite(file) => file.set("UPDATE lariat_job SET deferred_failure = ?2", id, reason),
        }
    }

    /// Lets a job be one that a scheduler has made.
    pub(crate) fn schedule(&self, id: &str, scheduler: &str) {
        match &self.server {
            Place::Redis(_) => self.redis::<()>(&format!("HSET bull:mail:{id} rjk {scheduler}")),
            Place::Sqlite(file) => file.set("UPDATE lariat_payload SET scheduler = ?2", id, scheduler),
        }
    }

    /// Makes a job's payload something that is no JSON.
    pub(crate) fn break_data(&self, id: &str) {
        match &self.server {
            Place::Redis(_) => self.redis::<()>(&format!("HSET bull:mail:{id} data {{oops")),
            Place::Sqlite(file) => file.set("UPDATE lariat_payload SET data = ?2", id, "{oops"),
        }
    }

    /// Why a job failed, also where its record cannot be read.
    pub(crate) fn failed_reason(&self, id: &str) -> String {
        match &self.server {
            Place::Redis(_) => self.redis(&format!("HGET bull:mail:{id} failedReason")),
            Place::Sqlite(file) => file.failed_reason(id),
        }
    }

    pub(crate) fn is_suspect(&self, id: &str) -> bool {
        match &self.server {
            Place::Redis(_) => self.redis(&format!("SISMEMBER bull:mail:stalled {id}")),
            Place::Sqlite(file) => file.is_suspect(id),
        }
    }

    /// Makes the next waiting job active as if a worker had taken it and died.
    pub(crate) fn abandon_next(&self) {
        match &self.server {
            Place::Redis(_) => {
                self.redis::<()>("RPOPLPUSH bull:mail:wait bull:mail:active");
                self.redis::<()>("DEL bull:mail:marker");
            }
            Place::Sqlite(file) => file.abandon_next(),
        }
    }

    /// Lets the store answer nobody, until it is thawed.
    pub(crate) fn freeze(&self) {
        match &self.server {
            Place::Redis(server) => server.freeze(),
            Place::Sqlite(file) => file.freeze(),
        }
    }

    pub(crate) fn thaw(&self) {
        match &self.server {
            Place::Redis(server) => server.thaw(),
            Place::Sqlite(file) => file.thaw(),
        }
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
