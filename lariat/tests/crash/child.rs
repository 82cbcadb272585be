//! A process of its own that adds or works, tells what was acknowledged, and can be stopped and killed.
//!
//! It tells by lines of a history file, each one `write`: what is in there was acknowledged before. It ends by itself when
//! its parent, who holds the other end of its stdin, is gone.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lariat::{Job, JobError, Queue, Store, Worker, WorkerEvent};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde::{Deserialize, Serialize};

use crate::tour::tour;
use crate::ways::all_ways;

const ORDERS: &str = "LARIAT_CRASH_CHILD";

/// What a process is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub url: String,
    pub queue: String,
    pub history: PathBuf,
    /// So many tasks, each of which adds one job after another.
    pub adders: usize,
    /// How many jobs each of them adds.
    pub adds: u64,
    /// Jobs at a time; no worker where it is 0.
    pub concurrency: usize,
    pub lock_duration: Duration,
    /// How long a job takes at most.
    pub job: Duration,
    pub errand: Errand,
    /// How durable the commits of connections of the process's own are: `PRAGMA synchronous`.
    pub caller: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Errand {
    /// To add jobs and complete them, for as long as it lives.
    Crowd,
    /// To add jobs that end in all ways a job can, to check the file in between, and to close it when all have ended.
    AllWays,
    /// To do one of each thing that is answered, and to say what holds since.
    Tour,
}

impl Orders {
    /// How many jobs are added in all.
    pub(crate) fn jobs(&self) -> u64 {
        self.adders as u64 * self.adds
    }

    /// Runs this program again, as [`child_carries_out_its_orders`].
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child::child_carries_out_its_orders", "--nocapture", "--test-threads=1"]);
        command.env(ORDERS, serde_json::to_string(self).unwrap()).stdin(Stdio::piped()).stdout(Stdio::null());
        command
    }

    pub(crate) fn start(&self) -> Process {
        Process(self.command().spawn().unwrap())
    }
}

/// A process; it is ended by its own id, at the latest when this is dropped.
pub(crate) struct Process(pub Child);

impl Process {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed()).unwrap()
    }

    /// SIGKILL; returns when it is gone.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGSTOP; returns when all of its threads stand still.
    pub(crate) fn stop(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "it has ended: {status:?}");
    }

    pub(crate) fn go_on(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A line of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Told {
    /// The add was answered.
    Added {
        id: String,
    },
    /// The add was answered with an error.
    NotAdded {
        why: String,
    },
    /// The handler came to its end, and returned this value.
    Ended {
        id: String,
        value: String,
    },
    /// The store took that.
    Completed {
        id: String,
    },
    /// The store did not.
    Refused {
        id: String,
        why: String,
    },
    /// The store took that the attempt failed, and it is the job's turn again.
    Retried {
        id: String,
    },
    Failed {
        id: String,
    },
    /// A transaction in which the job was completed is committed.
    Committed {
        id: String,
    },
    /// What was answered, and a query of one row that says whether it is so.
    Holds {
        what: String,
        sql: String,
        by: By,
    },
    LockLost {
        id: String,
    },
    StoreLost {
        why: String,
    },
}

/// Whose commit was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum By {
    Store,
    /// On a connection of the process's own.
    Caller,
}

/// Where lines of a history are written.
pub(crate) struct History(File);

impl History {
    pub(crate) fn tell(&self, told: &Told) {
        let line = format!("{}\n", serde_json::to_string(told).unwrap());
        // One write, which is whole or not there; a process that is killed in between has not told.
        assert_eq!((&self.0).write(line.as_bytes()).unwrap(), line.len());
    }
}

/// What has been told so far.
pub(crate) fn history(path: &Path) -> Vec<Told> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Not a test of its own: what the processes of the tests run.
#[test]
fn child_carries_out_its_orders() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let orders: Orders = serde_json::from_str(&orders).unwrap();
    std::thread::spawn(|| {
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(carry_out(orders));
}

async fn carry_out(orders: Orders) {
    let store = Store::open(&orders.url).unwrap();
    let history = OpenOptions::new().create(true).append(true).open(&orders.history).unwrap();
    let history = Arc::new(History(history));
    match orders.errand {
        Errand::Crowd => crowd(&store, &orders, &history).await,
        Errand::AllWays => all_ways(store, &orders, history).await,
        Errand::Tour => tour(&store, &orders, history).await,
    }
    // The test says when this ends.
    std::future::pending::<()>().await;
}

async fn crowd(store: &Store, orders: &Orders, history: &Arc<History>) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..orders.adders {
        let (store, orders, history) = (store.clone(), orders.clone(), Arc::clone(history));
        tasks.spawn(async move { add(&store, &orders, &history, n).await });
    }
    if orders.concurrency > 0 {
        let (store, orders, history) = (store.clone(), orders.clone(), Arc::clone(history));
        tasks.spawn(async move { work(&store, &orders, &history).await });
    }
    tasks.join_all().await;
}

/// Each on a lane of its own, so that their calls meet in one commit.
async fn add(store: &Store, orders: &Orders, history: &History, lane: usize) {
    let queue = Queue::new(store, &orders.queue).unwrap();
    for n in 0..orders.adds {
        match queue.add("n", &format!("{lane}/{n}")).await {
            Ok(id) => history.tell(&Told::Added { id: id.to_string() }),
            Err(error) => {
                history.tell(&Told::NotAdded { why: error.to_string() });
                // sleep: whatever is the matter will take a while
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

async fn work(store: &Store, orders: &Orders, history: &Arc<History>) {
    let (longest, told) = (orders.job, Arc::clone(history));
    let handler = move |job: Job| {
        let told = Arc::clone(&told);
        async move {
            // sleep: the job's work
            tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
            let value = format!("{} of process {}", job.starts(), std::process::id());
            told.tell(&Told::Ended { id: job.id().to_string(), value: value.clone() });
            Ok::<_, JobError>(value)
        }
    };
    let worker = Worker::builder(store, &orders.queue)
        .concurrency(orders.concurrency)
        .lock_duration(orders.lock_duration)
        .stalled_interval(Duration::from_millis(100))
        // A slow machine may lose a lock besides.
        .max_stalled(100)
        .start(handler)
        .unwrap();
    let mut events = worker.events();
    while let Some(event) = events.next().await {
        history.tell(&match event {
            WorkerEvent::Completed { id } => Told::Completed { id: id.to_string() },
            WorkerEvent::ResultRefused { id, why } => Told::Refused { id: id.to_string(), why },
            WorkerEvent::LockLost { id, .. } => Told::LockLost { id: id.to_string() },
            WorkerEvent::StoreLost { error } => Told::StoreLost { why: error },
            _ => continue,
        });
    }
}
