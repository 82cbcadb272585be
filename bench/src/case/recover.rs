//! A worker died with many active jobs, and another one finds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::sleep;
use std::time::{Duration, Instant};

use redis::{Connection, cmd};

use super::{Case, Goal, LONG, Metric, QUEUE, Sample, Setup, Stage, figure, percentile, worker};
use crate::Result;
use crate::meter::{Meter, forget_slow, length, slowest_ms};
use crate::peer::Library;
use crate::protocol::Command;

/// `lapsed` jobs in `active`, none with a lock, all marked by an earlier check.
pub(crate) struct Recover {
    pub(crate) lapsed: usize,
}

impl Case for Recover {
    fn title(&self) -> String {
        format!("recovery of {} jobs with lapsed locks", self.lapsed)
    }

    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric { key: "total_ms", label: "first to last job, ms", digits: 0, goal: Goal::None },
            Metric { key: "slowest_ms", label: "slowest script, ms", digits: 1, goal: Goal::AtMost(10.0) },
            Metric { key: "calls", label: "script calls", digits: 0, goal: Goal::None },
            Metric { key: "redis_us", label: "Redis CPU us/job", digits: 1, goal: Goal::None },
            Metric { key: "ping_p99_ms", label: "PING meanwhile p99, ms", digits: 2, goal: Goal::None },
            Metric { key: "ping_max_ms", label: "PING meanwhile longest, ms", digits: 1, goal: Goal::None },
        ]
    }

    fn run(&self, library: Library, setup: Setup) -> Result<Sample> {
        let mut stage = Stage::set(library, setup)?;
        stage.fill("hold", self.lapsed)?;
        abandon(&mut stage.redis)?;
        forget_slow(&mut stage.redis)?;
        let meter = Meter::read(&mut stage.redis)?;
        let over = Arc::new(AtomicBool::new(false));
        let pings = std::thread::spawn({
            let (redis, over) = (stage.server.connect()?, Arc::clone(&over));
            move || ping(redis, &over)
        });
        // One slot: the first job recovered is taken and held, all others must come back to `wait`.
        let mut spec = worker(QUEUE, 1);
        spec.stalled_ms = 1_000;
        // Not waited for yet: Node's first check comes before its answer.
        stage.peer.tell(&Command::Work(spec))?;
        let (first, last) = watch(&mut stage.redis, self.lapsed)?;
        stage.peer.answer(LONG)?;
        over.store(true, SeqCst);
        let mut pings = pings.join().map_err(|_| "the pinger ended early")??;
        let after = Meter::read(&mut stage.redis)?;
        Ok(vec![
            ("total_ms", (last - first).as_secs_f64() * 1000.0),
            ("slowest_ms", slowest_ms(&mut stage.redis)?),
            ("calls", after.scripts(&meter)),
            ("redis_us", after.cpu_us(&meter) / figure(self.lapsed)),
            ("ping_p99_ms", percentile(&mut pings, 0.99)),
            ("ping_max_ms", pings.last().copied().unwrap_or(f64::NAN)),
        ])
    }
}

/// Turns waiting jobs into what a dead worker leaves behind: active, without locks, marked by a stalled check.
fn abandon(redis: &mut Connection) -> Result<()> {
    let (wait, active) = (format!("bull:{QUEUE}:wait"), format!("bull:{QUEUE}:active"));
    cmd("RENAME").arg(wait).arg(&active).query::<()>(redis)?;
    cmd("DEL").arg(format!("bull:{QUEUE}:marker")).query::<()>(redis)?;
    let ids: Vec<String> = cmd("LRANGE").arg(active).arg(0).arg(-1).query(redis)?;
    for some in ids.chunks(5_000) {
        cmd("SADD").arg(format!("bull:{QUEUE}:stalled")).arg(some).query::<()>(redis)?;
    }
    Ok(())
}

/// The last moment before any job was recovered, and the first when all were.
fn watch(redis: &mut Connection, lapsed: usize) -> Result<(Instant, Instant)> {
    let begun = Instant::now();
    let mut first = begun;
    while begun.elapsed() < LONG {
        let asked = Instant::now();
        let (wait, active) = (length(redis, QUEUE, "wait")?, length(redis, QUEUE, "active")?);
        if active >= lapsed {
            first = asked;
        } else if active <= 1 && wait + 1 >= lapsed {
            return Ok((first, Instant::now()));
        }
        sleep(Duration::from_millis(2));
    }
    Err("the jobs were not recovered".into())
}

/// How long each PING of another client took, in milliseconds.
fn ping(mut redis: Connection, over: &AtomicBool) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    while !over.load(SeqCst) {
        let start = Instant::now();
        cmd("PING").query::<()>(&mut redis)?;
        took.push(start.elapsed().as_secs_f64() * 1000.0);
        sleep(Duration::from_millis(1));
    }
    Ok(took)
}
