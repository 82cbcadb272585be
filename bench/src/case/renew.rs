//! Many long jobs whose locks are kept alive.
//!
//! Two windows of two lock durations each: in the first nothing happens but renewal, so that the calls, the lock writes
//! and the CPU are renewal's alone; in the second another hundred jobs a second are added, and their start is timed.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Case, Goal, Metric, QUEUE, Sample, Setup, Stage, adding, figure, percentile, worker};
use crate::Result;
use crate::meter::{Locks, Meter, forget_slow, length, slowest_ms};
use crate::peer::Library;
use crate::protocol::{Command, Pace};

/// `active` jobs held for six lock durations.
pub(crate) struct Renew {
    pub(crate) active: usize,
    pub(crate) lock: Duration,
}

/// Jobs a call that the goal for calls assumes.
const CHUNK: usize = 500;
/// Lock durations a window.
const DURATIONS: u32 = 2;

impl Case for Renew {
    fn title(&self) -> String {
        format!("renewal, {} active jobs, lock {:?}", self.active, self.lock)
    }

    fn metrics(&self) -> Vec<Metric> {
        let calls = figure(self.active.div_ceil(CHUNK) + 1);
        vec![
            Metric { key: "calls", label: "calls/round (half a lock)", digits: 1, goal: Goal::AtMost(calls) },
            Metric { key: "renewals", label: "renewals/lock/lock duration", digits: 2, goal: Goal::AtMost(2.2) },
            Metric { key: "redis_us", label: "Redis CPU us/renewal", digits: 2, goal: Goal::AtMost(2.6) },
            Metric { key: "client_us", label: "client CPU us/renewal", digits: 2, goal: Goal::AtMost(1.0) },
            Metric { key: "slowest_ms", label: "slowest script, ms", digits: 1, goal: Goal::AtMost(3.0) },
            Metric { key: "start_p50_ms", label: "start of others p50, ms", digits: 2, goal: Goal::None },
            Metric { key: "start_p99_ms", label: "start of others p99, ms", digits: 2, goal: Goal::AtMost(5.0) },
            Metric { key: "lost", label: "locks lost", digits: 0, goal: Goal::AtMost(0.0) },
            Metric { key: "told", label: "handlers told lost", digits: 0, goal: Goal::AtMost(0.0) },
            Metric { key: "shortest", label: "shortest lock left, share", digits: 2, goal: Goal::None },
        ]
    }

    fn run(&self, library: Library, setup: Setup) -> Result<Sample> {
        let mut stage = Stage::set(library, setup)?;
        stage.fill("hold", self.active)?;
        let idle_share = idle_cpu(&mut stage)?;
        let mut spec = worker(QUEUE, self.active + 100);
        spec.lock_ms = u64::try_from(self.lock.as_millis())?;
        // The search for stalled jobs goes through all 10,000: its calls are not renewal's.
        spec.stalled_ms = u64::try_from((self.lock * 20).as_millis())?;
        stage.peer.work(spec)?;
        stage.until("all are active", |redis| Ok(length(redis, QUEUE, "active")? == self.active))?;
        sleep(self.lock);

        let window = self.lock * DURATIONS;
        forget_slow(&mut stage.redis)?;
        let (meter, used) = (Meter::read(&mut stage.redis)?, stage.peer.usage()?);
        let start = Instant::now();
        sleep(window);
        let (after, used_after) = (Meter::read(&mut stage.redis)?, stage.peer.usage()?);
        let seconds = start.elapsed().as_secs_f64();
        let renewals = after.calls(&meter, &["set", "pexpire", "pexpireat", "psetex", "getex"]);
        let durations = seconds / self.lock.as_secs_f64();
        let slowest = slowest_ms(&mut stage.redis)?;

        stage.peer.ask(&Command::Forget)?;
        let others = usize::try_from(window.as_millis() / 10)?;
        stage.filler.add(&adding(QUEUE, "quick", others, Pace::Paced { gap_us: 10_000 }))?;
        stage.until("the others are done", |redis| Ok(length(redis, QUEUE, "completed")? == others))?;
        let locks = Locks::read(&mut stage.redis, QUEUE)?;
        let seen = stage.peer.seen()?;
        #[allow(clippy::cast_precision_loss, reason = "microseconds of a short wait")]
        let mut waited: Vec<f64> = seen.start_us.iter().map(|us| *us as f64 / 1000.0).collect();
        // A job that left `active` was taken away: as lost as one without a lock.
        let lost = locks.missing + self.active.saturating_sub(locks.active);
        #[allow(clippy::cast_precision_loss, reason = "a count, and milliseconds of a lock")]
        Ok(vec![
            ("calls", after.scripts(&meter) / durations / 2.0),
            ("renewals", renewals / durations / figure(self.active)),
            ("redis_us", (after.cpu_us(&meter) - idle_share * seconds) / renewals),
            ("client_us", used_after.cpu_us_since(&used) / renewals),
            ("slowest_ms", slowest),
            ("start_p50_ms", percentile(&mut waited, 0.5)),
            ("start_p99_ms", percentile(&mut waited, 0.99)),
            ("lost", figure(lost)),
            ("told", seen.told_lost as f64),
            ("shortest", locks.shortest_ms as f64 / 1000.0 / self.lock.as_secs_f64()),
        ])
    }
}

/// What the server uses when nobody asks anything of it, in microseconds of CPU a second.
fn idle_cpu(stage: &mut Stage) -> Result<f64> {
    sleep(Duration::from_millis(300));
    let (before, start) = (Meter::read(&mut stage.redis)?, Instant::now());
    sleep(Duration::from_secs(1));
    Ok(Meter::read(&mut stage.redis)?.cpu_us(&before) / start.elapsed().as_secs_f64())
}
