//! Every runtime thread blocked by handlers for three lock durations.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Case, Goal, Metric, QUEUE, Sample, Setup, Stage, figure, worker};
use crate::Result;
use crate::meter::{Locks, length};
use crate::peer::Library;
use crate::protocol::{Command, Pace};

/// `active` held jobs, then one blocking job per runtime thread.
pub(crate) struct Blocked {
    pub(crate) active: usize,
    pub(crate) lock: Duration,
}

impl Case for Blocked {
    fn title(&self) -> String {
        format!("every runtime thread blocked for 3 locks of {:?}, {} active jobs", self.lock, self.active)
    }

    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric { key: "lost", label: "locks lost", digits: 0, goal: Goal::AtMost(0.0) },
            Metric { key: "told", label: "handlers told lost", digits: 0, goal: Goal::AtMost(0.0) },
            Metric { key: "active", label: "jobs whose locks were watched", digits: 0, goal: Goal::None },
            Metric { key: "still_locks", label: "runtime stood still, locks", digits: 2, goal: Goal::None },
        ]
    }

    fn run(&self, library: Library, setup: Setup) -> Result<Sample> {
        // Node has one thread for its handlers.
        let blockers = if library == Library::Node { 1 } else { setup.threads };
        let mut stage = Stage::set(library, setup)?;
        stage.fill("hold", self.active)?;
        let mut spec = worker(QUEUE, self.active + blockers);
        (spec.lock_ms, spec.watch) = (u64::try_from(self.lock.as_millis())?, true);
        stage.peer.work(spec)?;
        stage.until("all are active", |redis| Ok(length(redis, QUEUE, "active")? == self.active))?;

        let long = self.lock * 3;
        stage.filler.add(&Command::Add {
            queue: QUEUE.into(),
            name: "block".into(),
            jobs: blockers,
            pace: Pace::Flight { width: blockers },
            block_ms: u64::try_from(long.as_millis())?,
        })?;
        let all = self.active + blockers;
        stage.until("the blockers run", |redis| Ok(length(redis, QUEUE, "active")? == all))?;
        let start = Instant::now();
        // Look while they are still blocked: afterwards a late renewal might have hidden the gap.
        sleep((self.lock * 14 / 5).saturating_sub(start.elapsed()));
        let locks = Locks::read(&mut stage.redis, QUEUE)?;
        stage
            .until("the blockers end", |redis| Ok(length(redis, QUEUE, "active")? <= self.active))
            .or_else(|_| Ok::<_, Box<dyn std::error::Error + Send + Sync>>(()))?;
        sleep(Duration::from_millis(100));
        let seen = stage.peer.seen()?;
        let lock_ms = self.lock.as_secs_f64() * 1000.0;
        #[allow(clippy::cast_precision_loss, reason = "a count and milliseconds")]
        Ok(vec![
            ("lost", figure(locks.missing + all.saturating_sub(locks.active))),
            ("told", seen.told_lost as f64),
            ("active", figure(all)),
            ("still_locks", seen.standstill_ms as f64 / lock_ms),
        ])
    }
}
