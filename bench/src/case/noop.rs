//! Draining jobs that do nothing: the price of the machinery itself.

use std::time::Instant;

use super::{Case, Goal, Metric, QUEUE, Sample, Setup, Stage, figure, print_commands, worker};
use crate::Result;
use crate::meter::{Meter, length};
use crate::peer::Library;
use crate::protocol::Command;

/// Drains `jobs` jobs that were added before.
pub(crate) struct Noop {
    pub(crate) concurrency: usize,
    pub(crate) jobs: usize,
}

impl Case for Noop {
    fn title(&self) -> String {
        format!("no-op jobs, concurrency {}, {} jobs", self.concurrency, self.jobs)
    }

    fn metrics(&self) -> Vec<Metric> {
        let faster = if self.concurrency == 1 { 1.1 } else { 1.5 };
        vec![
            Metric {
                key: "jobs_per_s",
                label: "jobs/s",
                digits: 0,
                goal: Goal::AtLeastTimes(faster, Library::Official),
            },
            Metric { key: "redis_us", label: "Redis CPU us/job", digits: 1, goal: Goal::None },
            Metric { key: "script_us", label: "of that in scripts, us/job", digits: 1, goal: Goal::None },
            Metric {
                key: "client_us",
                label: "client CPU us/job",
                digits: 1,
                goal: Goal::AtMostTimes(0.6, Library::Official),
            },
            Metric { key: "calls", label: "script calls/job", digits: 3, goal: Goal::None },
            Metric { key: "switches", label: "client context switches/job", digits: 2, goal: Goal::None },
        ]
    }

    fn run(&self, library: Library, setup: Setup) -> Result<Sample> {
        let mut stage = Stage::set(library, setup)?;
        stage.warm(self.concurrency)?;
        stage.fill("noop", self.jobs)?;
        let (meter, used) = (Meter::read(&mut stage.redis)?, stage.peer.usage()?);
        let start = Instant::now();
        stage.peer.work(worker(QUEUE, self.concurrency))?;
        // The bench sleeps until the last handler has run and looks at the server only then.
        stage.peer.ask(&Command::Finish { count: self.jobs as u64 })?;
        stage.until("all jobs are completed", |redis| Ok(length(redis, QUEUE, "completed")? == self.jobs))?;
        let elapsed = start.elapsed();
        let (after, used_after) = (Meter::read(&mut stage.redis)?, stage.peer.usage()?);
        let jobs = figure(self.jobs);
        if setup.commands {
            print_commands(&format!("{}: {}", library.name(), self.title()), &after.breakdown(&meter), jobs);
        }
        Ok(vec![
            ("jobs_per_s", jobs / elapsed.as_secs_f64()),
            ("redis_us", after.cpu_us(&meter) / jobs),
            ("script_us", after.in_scripts_us(&meter) / jobs),
            ("client_us", used_after.cpu_us_since(&used) / jobs),
            ("calls", after.scripts(&meter) / jobs),
            ("switches", used_after.switches_since(&used) / jobs),
        ])
    }
}
