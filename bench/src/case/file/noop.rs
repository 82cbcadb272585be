//! Draining jobs of a file that do nothing.

use std::time::Instant;

use super::Place;
use crate::Result;
use crate::args::Durability;
use crate::case::{Case, Goal, Metric, QUEUE, Sample, Setup, adding, figure, worker};
use crate::floor::Floor;
use crate::peer::Library;
use crate::protocol::{Command, Pace};

/// More jobs than these take apalis minutes.
const MOST_FOR_APALIS: usize = 5_000;

/// Drains `jobs` jobs that were added before.
pub(crate) struct FileNoop {
    pub(crate) concurrency: usize,
    pub(crate) jobs: usize,
    pub(crate) durability: Durability,
}

impl Case for FileNoop {
    fn title(&self) -> String {
        let (durability, concurrency, jobs) = (self.durability.name(), self.concurrency, self.jobs);
        format!("file, {durability}: no-op jobs, concurrency {concurrency}, {jobs} jobs (floor: 100 a transaction)")
    }

    fn libraries(&self) -> Vec<Library> {
        let apalis = [Library::Apalis, Library::ApalisDefaults];
        let apalis = apalis.into_iter().filter(|_| self.jobs <= MOST_FOR_APALIS);
        [Library::Lariat].into_iter().chain(apalis).chain([Library::Floor]).collect()
    }

    fn metrics(&self) -> Vec<Metric> {
        let goal = if self.jobs <= MOST_FOR_APALIS {
            Goal::AtLeastTimes(20.0, Library::Apalis)
        } else {
            Goal::AtLeastTimes(0.2, Library::Floor)
        };
        vec![
            Metric { key: "jobs_per_s", label: "jobs/s", digits: 0, goal },
            Metric { key: "client_us", label: "CPU us/job", digits: 1, goal: Goal::None },
            Metric { key: "switches", label: "context switches/job", digits: 2, goal: Goal::None },
        ]
    }

    fn run(&self, library: Library, setup: Setup) -> Result<Sample> {
        let place = Place::new()?;
        let jobs = figure(self.jobs);
        if library == Library::Floor {
            let mut floor = Floor::create(&place.path(), self.durability)?;
            floor.insert(self.jobs, 1_000)?;
            return Ok(vec![("jobs_per_s", jobs / floor.drain(self.jobs, 100)?.as_secs_f64())]);
        }
        // Another process fills, so that the one that is measured has not seen the jobs.
        let mut filler = place.start(library, self.durability, setup)?;
        filler.add(&adding("warm", "noop", 500, Pace::Batch { size: 500 }))?;
        filler.add(&adding(QUEUE, "noop", self.jobs, Pace::Batch { size: 1_000 }))?;
        drop(filler);
        let mut peer = place.start(library, self.durability, setup)?;
        peer.work(worker("warm", self.concurrency))?;
        peer.ask(&Command::Finish { count: 500 })?;
        peer.ask(&Command::Close)?;
        peer.ask(&Command::Forget)?;
        let used = peer.usage()?;
        let start = Instant::now();
        peer.work(worker(QUEUE, self.concurrency))?;
        peer.ask(&Command::Finish { count: self.jobs as u64 })?;
        place.until(library, "completed", self.jobs)?;
        let took = start.elapsed();
        let after = peer.usage()?;
        Ok(vec![
            ("jobs_per_s", jobs / took.as_secs_f64()),
            ("client_us", after.cpu_us_since(&used) / jobs),
            ("switches", after.switches_since(&used) / jobs),
        ])
    }
}
