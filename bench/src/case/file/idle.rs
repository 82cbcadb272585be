//! A worker on a file with nothing to do.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Place;
use crate::Result;
use crate::args::Durability;
use crate::case::{Case, Goal, Metric, QUEUE, Sample, Setup, worker};
use crate::peer::Library;

/// Watches an idle worker for `window`.
pub(crate) struct FileIdle {
    pub(crate) window: Duration,
    pub(crate) durability: Durability,
}

impl Case for FileIdle {
    fn title(&self) -> String {
        format!("file, {}: an idle worker, watched for {:?}", self.durability.name(), self.window)
    }

    fn libraries(&self) -> Vec<Library> {
        vec![Library::Lariat, Library::Apalis]
    }

    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric { key: "cpu", label: "CPU, % of a core", digits: 3, goal: Goal::AtMost(1.0) },
            Metric { key: "switches", label: "context switches/s", digits: 1, goal: Goal::None },
        ]
    }

    fn run(&self, library: Library, setup: Setup) -> Result<Sample> {
        let place = Place::new()?;
        let mut peer = place.start(library, self.durability, setup)?;
        peer.work(worker(QUEUE, 50))?;
        // What the start itself costs is over by then.
        sleep(Duration::from_secs(2));
        let (used, start) = (peer.usage()?, Instant::now());
        sleep(self.window);
        let (after, seconds) = (peer.usage()?, start.elapsed().as_secs_f64());
        Ok(vec![
            ("cpu", after.cpu_us_since(&used) / seconds / 1e4),
            ("switches", after.switches_since(&used) / seconds),
        ])
    }
}
