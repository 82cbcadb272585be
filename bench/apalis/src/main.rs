//! `apalis-sqlite`, through its public API: a driver process like those of the bench itself (`../src/driver/`).
//!
//! A program of its own, since a program can have SQLite's C library only once, and its version of it is not Lariat's.

#[path = "../../src/driver/handlers.rs"]
mod handlers;
#[path = "../../src/protocol.rs"]
#[allow(dead_code, reason = "what the bench's own side of it needs")]
mod protocol;
#[path = "../../src/driver/serve.rs"]
mod serve;

use std::fmt::Display;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::{BoxDynError, TaskSink, WorkerBuilder, WorkerBuilderExt, WorkerContext};
use apalis_sqlite::{Config, SqliteStorage};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use handlers::{Handlers, JobData};
use protocol::WorkerSpec;
use serve::Driver;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(threads)) = (args.next(), args.next().and_then(|n| n.parse().ok())) else {
        eprintln!("lariat-bench-apalis: ADDRESS THREADS are missing; the bench starts this program itself");
        return ExitCode::FAILURE;
    };
    match serve::serve::<Apalis>(&address, threads) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lariat-bench-apalis: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a worker until it is told to stop.
async fn until_stopped<E: Display>(
    worker: impl Future<Output = std::result::Result<(), E>>,
    stopped: oneshot::Receiver<()>,
) {
    tokio::select! {
        ended = worker => if let Err(error) = ended {
            eprintln!("lariat-bench-apalis: {error}");
        },
        _ = stopped => {}
    }
}

struct Apalis {
    pool: SqlitePool,
    /// Worked as it comes: ten jobs a fetch, and as many at once as are fetched.
    defaults: bool,
}

impl Driver for Apalis {
    type Queue = SqliteStorage<JobData>;
    type Worker = oneshot::Sender<()>;

    async fn open(address: &str) -> Result<Self> {
        let path = address.strip_prefix("sqlite:").ok_or("it knows files only")?;
        let (path, durability) = path.split_once("?durability=").ok_or("the durability is missing")?;
        let (durability, defaults) = match durability.strip_suffix("&defaults") {
            Some(durability) => (durability, true),
            None => (durability, false),
        };
        let synchronous = SqliteSynchronous::from_str(durability)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(30));
        // Its set-up turns `synchronous` off, on whichever connection it gets; so that one is not used for more.
        let first = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        SqliteStorage::setup(&first).await?;
        first.close().await;
        let pool = SqlitePoolOptions::new().connect_with(options.synchronous(synchronous)).await?;
        Ok(Self { pool, defaults })
    }

    async fn queue(&self, name: &str) -> Result<Self::Queue> {
        Ok(SqliteStorage::new(&self.pool).with_config(Config::default().queue(name)))
    }

    async fn add(queue: &mut Self::Queue, _: &str, data: &JobData) -> Result<()> {
        Ok(queue.push(data.clone()).await?)
    }

    async fn add_batch(queue: &mut Self::Queue, _: &str, data: Vec<JobData>) -> Result<()> {
        Ok(queue.push_bulk(data).await?)
    }

    async fn work(&self, spec: &WorkerSpec, handlers: &Arc<Handlers>) -> Result<Self::Worker> {
        let mut config = Config::default().queue(&spec.queue);
        if !self.defaults {
            // As many jobs a fetch as may run at once.
            config = config.batch_size(spec.concurrency);
        }
        let handlers = Arc::clone(handlers);
        let handler = move |data: JobData, _: WorkerContext| {
            let handlers = Arc::clone(&handlers);
            async move { Ok::<u64, BoxDynError>(handlers.run("noop", || data, std::future::pending()).await) }
        };
        let worker = WorkerBuilder::new(format!("bench-{}", spec.queue))
            .backend(SqliteStorage::new(&self.pool).with_config(config));
        let most = (!self.defaults).then_some(spec.concurrency);
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = Handle::current();
        // Its future cannot be shown to be `Send`, so it is polled from a thread of its own; what it spawns is not.
        std::thread::spawn(move || match most {
            Some(most) => runtime.block_on(until_stopped(worker.concurrency(most).build(handler).run(), stopped)),
            None => runtime.block_on(until_stopped(worker.build(handler).run(), stopped)),
        });
        Ok(stop)
    }

    async fn close(worker: Self::Worker) -> Result<()> {
        // It may have ended by itself.
        let _ = worker.send(());
        Ok(())
    }
}
