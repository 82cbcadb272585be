//! A store of the test's own with one queue on it, and ways to look at both.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use interop::redis::RedisServer;
use interop::wait;
use lariat::{Job, JobId, JobState, Queue, Store, StoredJob, Worker, WorkerBuilder, WorkerEvent, WorkerEvents};
use tokio::sync::{mpsc, watch};

use crate::file::TestFile;

pub(crate) const QUEUE: &str = "mail";

/// Makes of each test, a function of a [`Fixture`], one for each store. Those behind `[needs …]`, a field of
/// [`Capabilities`](lariat::Capabilities), are run on the stores that say so.
macro_rules! on_both_stores {
    (
        $($test:ident $(on $threads:tt threads)?,)*
        $([needs $capability:ident] $($able:ident $(on $its_threads:tt threads)?,)*)?
    ) => {
        mod on_redis {
            $(crate::fixture::one_test! { $test on_redis; $($threads)? })*
            $($(crate::fixture::one_test! { $able on_redis $capability; $($its_threads)? })*)?
        }
        mod on_sqlite {
            $(crate::fixture::one_test! { $test on_sqlite; $($threads)? })*
            $($(crate::fixture::one_test! { $able on_sqlite $capability; $($its_threads)? })*)?
        }
    };
}

macro_rules! one_test {
    ($test:ident $store:ident $($capability:ident)?;) => {
        crate::fixture::one_test! { $test $store $($capability)?; () }
    };
    ($test:ident $store:ident $($capability:ident)?; $threads:literal) => {
        crate::fixture::one_test! { $test $store $($capability)?; (flavor = "multi_thread", worker_threads = $threads) }
    };
    ($test:ident $store:ident $($capability:ident)?; ($($flavor:tt)*)) => {
        #[tokio::test($($flavor)*)]
        async fn $test() {
            let fixture = crate::fixture::Fixture::$store();
            $(if !fixture.store.capabilities().$capability {
                return println!("SKIPPED: {} is not among what this store can", stringify!($capability));
            })?
            super::$test(fixture).await;
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
    pub(crate) fn on_redis() -> Fixture {
        let server = RedisServer::start();
        let store = Store::open(&server.url()).unwrap();
        Fixture::new(Place::Redis(server), store)
    }

    /// In a SQLite file.
    pub(crate) fn on_sqlite() -> Fixture {
        let file = TestFile::new();
        let store = Store::open(&file.url()).unwrap();
        Fixture::new(Place::Sqlite(file), store)
    }

    /// Another store of the same kind, with nothing in it.
    pub(crate) fn another(&self) -> Fixture {
        match &self.server {
            Place::Redis(_) => Fixture::on_redis(),
            Place::Sqlite(_) => Fixture::on_sqlite(),
        }
    }

    /// A store of the same kind in a place where there is none.
    pub(crate) fn nowhere(&self) -> Store {
        let url = match &self.server {
            Place::Redis(_) => "redis://127.0.0.1:1",
            Place::Sqlite(_) => "sqlite:/no/such/folder/jobs.db",
        };
        Store::open(url).unwrap()
    }

    fn new(server: Place, store: Store) -> Fixture {
        let queue = Queue::new(&store, QUEUE).unwrap();
        Fixture { server, store, queue }
    }

    /// Where [`on_both_stores!`] puts the tests of this store.
    pub(crate) fn module(&self) -> &'static str {
        match &self.server {
            Place::Redis(_) => "on_redis",
            Place::Sqlite(_) => "on_sqlite",
        }
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
