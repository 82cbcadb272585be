//! A worker with nothing to do.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Case, Goal, Metric, QUEUE, Sample, Setup, Stage, worker};
use crate::Result;
use crate::meter::Meter;
use crate::peer::Library;

/// Watches an idle worker for `window`; the figures are scaled to a minute.
pub(crate) struct Idle {
    pub(crate) window: Duration,
}

impl Case for Idle {
    fn title(&self) -> String {
        format!("an idle worker, watched for {:?}, figures per minute", self.window)
    }

    fn metrics(&self) -> Vec<Metric> {
        vec![
            // A wait and an exchange per 5 s, and a stalled check per 30 s.
            Metric { key: "scripts", label: "script calls/min", digits: 1, goal: Goal::AtMost(14.0) },
            Metric { key: "calls", label: "all calls/min", digits: 1, goal: Goal::AtMost(26.0) },
            Metric { key: "client_ms", label: "client CPU ms/min", digits: 1, goal: Goal::None },
            Metric { key: "switches", label: "context switches/min", digits: 0, goal: Goal::None },
            Metric { key: "lock_switches", label: "of its lock thread", digits: 1, goal: Goal::AtMost(1.0) },
        ]
    }

    fn run(&self, library: Library, setup: Setup) -> Result<Sample> {
        let mut stage = Stage::set(library, setup)?;
        stage.peer.work(worker(QUEUE, 50))?;
        // What the start itself costs is over by then.
        sleep(Duration::from_secs(2));
        let pid = stage.peer.pid();
        let (meter, used, lock) = (Meter::read(&mut stage.redis)?, stage.peer.usage()?, lock_switches(pid)?);
        let start = Instant::now();
        sleep(self.window);
        let (after, used_after) = (Meter::read(&mut stage.redis)?, stage.peer.usage()?);
        let minutes = start.elapsed().as_secs_f64() / 60.0;
        let lock = lock.zip(lock_switches(pid)?).map_or(f64::NAN, |(before, after)| (after - before) / minutes);
        Ok(vec![
            ("scripts", after.scripts(&meter) / minutes),
            ("calls", after.outside_calls(&meter) / minutes),
            ("client_ms", used_after.cpu_us_since(&used) / 1000.0 / minutes),
            ("switches", used_after.switches_since(&used) / minutes),
            ("lock_switches", lock),
        ])
    }
}

/// Context switches so far of the process's threads that are named after locks; none where it has none.
fn lock_switches(pid: u32) -> Result<Option<f64>> {
    let mut total = None;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let folder = thread?.path();
        if !std::fs::read_to_string(folder.join("comm"))?.contains("lock") {
            continue;
        }
        let status = std::fs::read_to_string(folder.join("status"))?;
        let switches = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
        let sum: f64 = switches.filter_map(|(_, count)| count.trim().parse::<f64>().ok()).sum();
        total = Some(total.unwrap_or(0.0) + sum);
    }
    Ok(total)
}
