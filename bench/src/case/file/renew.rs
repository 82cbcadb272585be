//! Renewing many locks on a file: Lariat's `extend`, as its lock manager calls it, against one plain statement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::lariat::{Error, Job, NewJob, Queue, Store, Worker};
use lariat_lock::{Claim, Verdict};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::Place;
use crate::Result;
use crate::args::Durability;
use crate::case::{Case, Goal, Metric, QUEUE, Sample, Setup, figure};
use crate::floor::Floor;
use crate::peer::Library;

/// Claims a call, as the manager asks for at most.
const CHUNK: usize = 500;
/// Long enough that the manager itself renews nothing meanwhile.
const LOCK: Duration = Duration::from_secs(3_600);

/// Renews the locks of `active` held jobs, `times` times.
pub(crate) struct FileRenew {
    pub(crate) active: usize,
    pub(crate) times: usize,
    pub(crate) durability: Durability,
}

impl Case for FileRenew {
    fn title(&self) -> String {
        format!("file, {}: renewing {} locks, {CHUNK} a call", self.durability.name(), self.active)
    }

    fn libraries(&self) -> Vec<Library> {
        vec![Library::Lariat, Library::Floor]
    }

    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric { key: "us", label: "us/lock", digits: 2, goal: Goal::AtMostTimes(3.0, Library::Floor) },
            Metric { key: "cpu_us", label: "CPU us/lock", digits: 2, goal: Goal::None },
        ]
    }

    fn run(&self, library: Library, setup: Setup) -> Result<Sample> {
        let place = Place::new()?;
        let renewals = figure(self.active * self.times);
        let (took, cpu_us) = if library == Library::Floor {
            let mut floor = Floor::create(&place.path(), self.durability)?;
            floor.insert(self.active, 1_000)?;
            let cpu = cpu_us()?;
            (floor.renew(self.active, CHUNK, self.times)?, cpu_us()? - cpu)
        } else {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(setup.threads).enable_all().build()?;
            let measured = runtime.block_on(self.renew(&place.address(self.durability)))?;
            runtime.shutdown_background();
            measured
        };
        Ok(vec![("us", took.as_secs_f64() * 1e6 / renewals), ("cpu_us", cpu_us / renewals)])
    }
}

impl FileRenew {
    async fn renew(&self, address: &str) -> Result<(Duration, f64)> {
        let store = Store::open(address)?;
        let data = serde_json::json!({ "t": 0, "user": 1, "to": "someone@example.com" });
        Queue::new(&store, QUEUE)?.add_bulk((0..self.active).map(|_| NewJob::new("hold", &data))).await?;
        let (held, mut claims_of) = tokio::sync::mpsc::unbounded_channel();
        let handler = move |job: Job| {
            let held = held.clone();
            async move {
                // Whoever counts them has gone when the case ends.
                let _ = held.send(Claim::new(job.id().as_str(), job.token()));
                std::future::pending::<std::result::Result<u64, Error>>().await
            }
        };
        let worker = Worker::builder(&store, QUEUE).concurrency(self.active).lock_duration(LOCK).start(handler)?;
        let mut claims = Vec::with_capacity(self.active);
        while claims.len() < self.active {
            claims.push(claims_of.recv().await.ok_or("the worker has ended")?);
        }
        let locks: Arc<_> = store.locks(QUEUE)?;
        let (start, cpu) = (Instant::now(), cpu_us()?);
        for _ in 0..self.times {
            for some in claims.chunks(CHUNK) {
                let verdicts = locks.extend(some, LOCK).await?;
                if verdicts.iter().any(|verdict| *verdict != Verdict::Extended) {
                    return Err("a lock was lost".into());
                }
            }
        }
        let measured = (start.elapsed(), cpu_us()? - cpu);
        drop(worker);
        Ok(measured)
    }
}

/// CPU that this process has used so far, in microseconds.
#[allow(clippy::cast_precision_loss, reason = "microseconds of one run")]
fn cpu_us() -> Result<f64> {
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok((used.user_time().num_microseconds() + used.system_time().num_microseconds()) as f64)
}
