//! Adding jobs to a file, without a worker.

use super::Place;
use crate::Result;
use crate::args::Durability;
use crate::case::{Case, Goal, Metric, QUEUE, Sample, Setup, Way, adding, figure};
use crate::floor::Floor;
use crate::peer::Library;
use crate::protocol::Pace;

/// Adds `jobs` jobs.
pub(crate) struct FileAdd {
    pub(crate) way: Way,
    pub(crate) jobs: usize,
    pub(crate) durability: Durability,
}

impl Case for FileAdd {
    fn title(&self) -> String {
        let way = match self.way {
            Way::Batch(size) => format!("{size} a call (floor: 100 a transaction)"),
            Way::Flight(1) => "one awaited at a time (floor: one a transaction)".into(),
            Way::Flight(width) => format!("{width} in flight singly (floor: one a transaction)"),
        };
        format!("file, {}: adding {} jobs, {way}", self.durability.name(), self.jobs)
    }

    fn libraries(&self) -> Vec<Library> {
        vec![Library::Lariat, Library::Apalis, Library::Floor]
    }

    fn metrics(&self) -> Vec<Metric> {
        let goal = match (self.way, self.durability) {
            (Way::Batch(_), _) => Goal::AtLeastTimes(0.5, Library::Floor),
            (Way::Flight(1), _) => Goal::AtLeastTimes(3.0, Library::Apalis),
            (Way::Flight(_), Durability::Full) => Goal::AtLeastTimes(5.0, Library::Floor),
            (Way::Flight(_), Durability::Normal) => Goal::AtLeastTimes(60_000.0 / 47_500.0, Library::Floor),
        };
        vec![
            Metric { key: "jobs_per_s", label: "jobs/s", digits: 0, goal },
            Metric { key: "client_us", label: "CPU us/job", digits: 1, goal: Goal::None },
            Metric { key: "switches", label: "context switches/job", digits: 2, goal: Goal::None },
        ]
    }

    fn run(&self, library: Library, setup: Setup) -> Result<Sample> {
        let file = Place::new()?;
        let jobs = figure(self.jobs);
        if library == Library::Floor {
            let together = if let Way::Batch(_) = self.way { 100 } else { 1 };
            let took = Floor::create(&file.path(), self.durability)?.insert(self.jobs, together)?;
            return Ok(vec![("jobs_per_s", jobs / took.as_secs_f64())]);
        }
        let pace = match self.way {
            Way::Batch(size) => Pace::Batch { size },
            Way::Flight(width) => Pace::Flight { width },
        };
        let mut peer = file.start(library, self.durability, setup)?;
        peer.add(&adding("warm", "noop", 500, pace))?;
        let used = peer.usage()?;
        let took = peer.add(&adding(QUEUE, "noop", self.jobs, pace))?;
        let after = peer.usage()?;
        let added = file.count(library, "waiting")?;
        if added != self.jobs {
            return Err(format!("{} added {added} of {} jobs", library.name(), self.jobs).into());
        }
        Ok(vec![
            ("jobs_per_s", jobs / took.as_secs_f64()),
            ("client_us", after.cpu_us_since(&used) / jobs),
            ("switches", after.switches_since(&used) / jobs),
        ])
    }
}
