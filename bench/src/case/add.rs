//! Adding jobs, without a worker.

use super::{Case, Goal, Metric, QUEUE, Sample, Setup, Stage, adding, figure, print_commands};
use crate::Result;
use crate::meter::{Meter, length};
use crate::peer::Library;
use crate::protocol::Pace;

/// How the jobs are added.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// This many jobs a call.
    Batch(usize),
    /// This many single adds in flight.
    Flight(usize),
}

/// Adds `jobs` jobs.
pub(crate) struct Add {
    pub(crate) way: Way,
    pub(crate) jobs: usize,
}

impl Add {
    fn pace(&self) -> Pace {
        match self.way {
            Way::Batch(size) => Pace::Batch { size },
            Way::Flight(width) => Pace::Flight { width },
        }
    }
}

impl Case for Add {
    fn title(&self) -> String {
        let way = match self.way {
            Way::Batch(size) => format!("{size} a call"),
            Way::Flight(1) => "one awaited at a time".into(),
            Way::Flight(width) => format!("{width} in flight singly"),
        };
        format!("adding {} jobs, {way}", self.jobs)
    }

    fn metrics(&self) -> Vec<Metric> {
        let goal = match self.way {
            Way::Batch(_) => Goal::AtLeastTimes(2.0, Library::Official),
            Way::Flight(1) => Goal::None,
            Way::Flight(_) => Goal::AtLeastTimes(1.15, Library::Official),
        };
        vec![
            Metric { key: "jobs_per_s", label: "jobs/s", digits: 0, goal },
            Metric { key: "redis_us", label: "Redis CPU us/job", digits: 1, goal: Goal::None },
            Metric { key: "script_us", label: "of that in scripts, us/job", digits: 1, goal: Goal::None },
            Metric { key: "client_us", label: "client CPU us/job", digits: 1, goal: Goal::None },
            Metric { key: "calls", label: "script calls/job", digits: 3, goal: Goal::None },
            Metric { key: "switches", label: "client context switches/job", digits: 2, goal: Goal::None },
        ]
    }

    fn run(&self, library: Library, setup: Setup) -> Result<Sample> {
        let mut stage = Stage::set(library, setup)?;
        stage.peer.add(&adding("warm", "noop", 2_000, self.pace()))?;
        let (meter, used) = (Meter::read(&mut stage.redis)?, stage.peer.usage()?);
        let elapsed = stage.peer.add(&adding(QUEUE, "noop", self.jobs, self.pace()))?;
        let (after, used_after) = (Meter::read(&mut stage.redis)?, stage.peer.usage()?);
        let added = length(&mut stage.redis, QUEUE, "wait")?;
        if added != self.jobs {
            return Err(format!("{} added {added} of {} jobs", library.name(), self.jobs).into());
        }
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
