//! Whether a file that holds much is as quick as one that holds little. Lariat only: each round measures both.

use std::cell::OnceCell;
use std::time::Instant;

use super::Place;
use crate::Result;
use crate::args::Durability;
use crate::case::{Case, Goal, Metric, QUEUE, Sample, Setup, adding, figure, worker};
use crate::peer::Library;
use crate::protocol::{Command, Pace};

/// What one file holds and the other does not.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Depth {
    /// This many waiting jobs, against 1,000.
    Waiting(usize),
    /// This many finished jobs, against none.
    Finished(usize),
}

/// Drains the first `jobs` of a file that holds much and of one that holds little.
pub(crate) struct FileFlat {
    pub(crate) depth: Depth,
    pub(crate) jobs: usize,
    pub(crate) durability: Durability,
    /// The file with the finished jobs: made once, copied for each round.
    made: OnceCell<Place>,
}

impl FileFlat {
    pub(crate) fn new(depth: Depth, jobs: usize, durability: Durability) -> Self {
        Self { depth, jobs, durability, made: OnceCell::new() }
    }

    fn finished(&self, finished: usize, setup: Setup) -> Result<&Place> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let place = Place::new()?;
        let mut peer = place.start(Library::Lariat, Durability::Normal, setup)?;
        // The queues in the order in which the other file has them: rows of the last one are appended, which is cheaper.
        peer.add(&adding("warm", "noop", 1, Pace::Batch { size: 1 }))?;
        peer.add(&adding(QUEUE, "noop", finished, Pace::Batch { size: 1_000 }))?;
        peer.work(worker(QUEUE, 50))?;
        peer.ask(&Command::Finish { count: finished as u64 })?;
        place.until(Library::Lariat, "completed", finished)?;
        peer.ask(&Command::Close)?;
        drop(peer);
        let file = rusqlite::Connection::open(place.path())?;
        file.query_row("PRAGMA wal_checkpoint(truncate)", [], |_| Ok(()))?;
        Ok(self.made.get_or_init(|| place))
    }

    /// Jobs per second and CPU in microseconds a job.
    fn rate(&self, much: bool, setup: Setup) -> Result<(f64, f64)> {
        let place = Place::new()?;
        let waiting = match (self.depth, much) {
            (Depth::Waiting(waiting), true) => waiting,
            (Depth::Finished(finished), true) => {
                std::fs::copy(self.finished(finished, setup)?.path(), place.path())?;
                1_000
            }
            _ => 1_000,
        };
        let mut filler = place.start(Library::Lariat, self.durability, setup)?;
        filler.add(&adding("warm", "noop", 500, Pace::Batch { size: 500 }))?;
        filler.add(&adding(QUEUE, "noop", waiting + self.jobs, Pace::Batch { size: 1_000 }))?;
        drop(filler);
        let mut peer = place.start(Library::Lariat, self.durability, setup)?;
        peer.work(worker("warm", 50))?;
        peer.ask(&Command::Finish { count: 500 })?;
        peer.ask(&Command::Close)?;
        peer.ask(&Command::Forget)?;
        let (used, start) = (peer.usage()?, Instant::now());
        peer.work(worker(QUEUE, 50))?;
        peer.ask(&Command::Finish { count: self.jobs as u64 })?;
        let (took, after) = (start.elapsed(), peer.usage()?);
        let jobs = figure(self.jobs);
        Ok((jobs / took.as_secs_f64(), after.cpu_us_since(&used) / jobs))
    }
}

impl Case for FileFlat {
    fn title(&self) -> String {
        let (durability, jobs) = (self.durability.name(), self.jobs);
        let what = match self.depth {
            Depth::Waiting(many) => format!("{many} waiting against 1000"),
            Depth::Finished(many) => format!("{many} finished kept against none"),
        };
        format!("file, {durability}: {jobs} no-op jobs, concurrency 50, {what}")
    }

    fn libraries(&self) -> Vec<Library> {
        vec![Library::Lariat]
    }

    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric { key: "share", label: "rate, much / little", digits: 3, goal: Goal::AtLeast(0.9) },
            Metric { key: "much", label: "jobs/s, much", digits: 0, goal: Goal::None },
            Metric { key: "little", label: "jobs/s, little", digits: 0, goal: Goal::None },
            Metric { key: "cpu_much", label: "CPU us/job, much", digits: 1, goal: Goal::None },
            Metric { key: "cpu_little", label: "CPU us/job, little", digits: 1, goal: Goal::None },
        ]
    }

    fn run(&self, _: Library, setup: Setup) -> Result<Sample> {
        // Little before and after much, so that a drift of the machine does not tell.
        let (before, cpu_before) = self.rate(false, setup)?;
        let (much, cpu_much) = self.rate(true, setup)?;
        let (after, cpu_after) = self.rate(false, setup)?;
        let little = f64::midpoint(before, after);
        Ok(vec![
            ("share", much / little),
            ("much", much),
            ("little", little),
            ("cpu_much", cpu_much),
            ("cpu_little", f64::midpoint(cpu_before, cpu_after)),
        ])
    }
}
