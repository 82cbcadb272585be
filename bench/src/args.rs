//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::case::{
    Add, Blocked, Case, Depth, FileAdd, FileFlat, FileIdle, FileNoop, FileRenew, Idle, Lone, Noop, Recover, Renew,
    Setup, Way,
};
use crate::peer::Library;

/// Measures Lariat and its peers side by side, each on a redis-server, or a SQLite file, made for the round.
#[derive(Debug, Parser)]
#[command(name = "lariat-bench", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) what: What,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Rounds; everyone runs once in each
    #[arg(long, default_value_t = 9, global = true)]
    pub(crate) rounds: usize,
    /// Who runs, all that can unless said; the first is compared with each of the others
    #[arg(long, value_enum, value_delimiter = ',', global = true)]
    pub(crate) drivers: Option<Vec<Library>>,
    /// Runtime threads of the Rust drivers
    #[arg(long, default_value_t = 2, global = true)]
    pub(crate) threads: usize,
    /// Write every round's figures to this file
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) json: Option<PathBuf>,
    /// Also print which commands the server ran per job (noop and add)
    #[arg(long, global = true)]
    pub(crate) commands: bool,
}

impl Common {
    pub(crate) fn setup(&self) -> Setup {
        Setup { threads: self.threads, commands: self.commands }
    }

    /// Those of the case who were asked for, in the order in which they were.
    pub(crate) fn who(&self, case: &dyn Case) -> Vec<Library> {
        let able = case.libraries();
        match &self.drivers {
            Some(asked) => asked.iter().copied().filter(|library| able.contains(library)).collect(),
            None => able,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Drain jobs that do nothing
    Noop {
        /// Slots of the worker; several are run one after the other
        #[arg(long, value_delimiter = ',', default_values_t = [1, 50, 200])]
        concurrency: Vec<usize>,
        #[arg(long, default_value_t = 20_000)]
        jobs: usize,
    },
    /// Add one job at a time to an idle queue
    Lone {
        #[arg(long, default_value_t = 300)]
        jobs: usize,
        /// Milliseconds between two jobs
        #[arg(long, default_value_t = 20)]
        gap_ms: u64,
    },
    /// Add jobs in batches, in flight, and one at a time
    Add {
        /// Jobs a call
        #[arg(long, value_delimiter = ',', default_values_t = [100, 500])]
        batch: Vec<usize>,
        /// Single adds in flight
        #[arg(long, value_delimiter = ',', default_values_t = [100, 1])]
        flight: Vec<usize>,
        #[arg(long, default_value_t = 20_000)]
        jobs: usize,
    },
    /// Keep the locks of many long jobs alive
    Renew {
        #[arg(long, default_value_t = 10_000)]
        active: usize,
        #[arg(long, default_value_t = 10_000)]
        lock_ms: u64,
    },
    /// Block every runtime thread for three lock durations
    Blocked {
        #[arg(long, default_value_t = 100)]
        active: usize,
        #[arg(long, default_value_t = 3_000)]
        lock_ms: u64,
    },
    /// Recover the jobs of a dead worker
    Recover {
        #[arg(long, default_value_t = 100_000)]
        lapsed: usize,
    },
    /// Watch a worker that has nothing to do
    Idle {
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// The same on one SQLite file
    File {
        #[command(subcommand)]
        what: FileWhat,
        /// What survives a power cut; several are run one after the other
        #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Durability::Normal, Durability::Full], global = true)]
        durability: Vec<Durability>,
    },
    /// Be a driver process (the bench starts these itself)
    #[command(hide = true)]
    Driver { library: String, address: String },
}

/// A file's `synchronous` setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// A power cut may undo the last moments.
    Normal,
    /// What was answered is on the disk.
    Full,
}

impl Durability {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Full => "full",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum FileWhat {
    /// Add jobs in batches, in flight, and one at a time
    Add {
        /// Jobs a call; five times as many jobs in all
        #[arg(long, value_delimiter = ',', default_values_t = [1_000])]
        batch: Vec<usize>,
        /// Single adds in flight (1: a tenth of the jobs)
        #[arg(long, value_delimiter = ',', default_values_t = [100, 1])]
        flight: Vec<usize>,
        #[arg(long, default_value_t = 20_000)]
        jobs: usize,
    },
    /// Drain jobs that do nothing; apalis takes part up to 5,000 jobs
    Noop {
        #[arg(long, default_value_t = 50)]
        concurrency: usize,
        /// Several are run one after the other
        #[arg(long, value_delimiter = ',', default_values_t = [100_000, 2_000])]
        jobs: Vec<usize>,
    },
    /// Renew the locks of many active jobs
    Renew {
        #[arg(long, default_value_t = 10_000)]
        active: usize,
        /// How often
        #[arg(long, default_value_t = 20)]
        times: usize,
    },
    /// Compare a file that holds much with one that holds little
    Flat {
        /// Jobs that are drained
        #[arg(long, default_value_t = 50_000)]
        jobs: usize,
        /// Waiting jobs behind those; 0: not measured
        #[arg(long, default_value_t = 100_000)]
        waiting: usize,
        /// Finished jobs that are kept; 0: not measured
        #[arg(long, default_value_t = 1_000_000)]
        finished: usize,
    },
    /// Watch a worker that has nothing to do
    Idle {
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
}

impl FileWhat {
    fn cases(&self, durability: Durability) -> Vec<Box<dyn Case>> {
        match self {
            Self::Add { batch, flight, jobs } => {
                let batches = batch.iter().map(|size| (Way::Batch(*size), jobs * 5));
                let flights = flight.iter().map(|w| (Way::Flight(*w), if *w == 1 { jobs / 10 } else { *jobs }));
                let cases = batches.chain(flights).map(|(way, jobs)| FileAdd { way, jobs, durability });
                cases.map(|case| Box::new(case) as Box<dyn Case>).collect()
            }
            Self::Noop { concurrency, jobs } => {
                let cases = jobs.iter().map(|jobs| FileNoop { concurrency: *concurrency, jobs: *jobs, durability });
                cases.map(|case| Box::new(case) as Box<dyn Case>).collect()
            }
            Self::Renew { active, times } => vec![Box::new(FileRenew { active: *active, times: *times, durability })],
            Self::Flat { jobs, waiting, finished } => {
                let depths = [(*waiting, Depth::Waiting(*waiting)), (*finished, Depth::Finished(*finished))];
                let asked = depths.into_iter().filter(|(many, _)| *many > 0);
                asked.map(|(_, depth)| Box::new(FileFlat::new(depth, *jobs, durability)) as Box<dyn Case>).collect()
            }
            Self::Idle { seconds } => vec![Box::new(FileIdle { window: Duration::from_secs(*seconds), durability })],
        }
    }
}

impl What {
    /// The cases to run, in order.
    pub(crate) fn cases(&self) -> Vec<Box<dyn Case>> {
        let ms = Duration::from_millis;
        match self {
            Self::Noop { concurrency, jobs } => {
                concurrency.iter().map(|c| Box::new(Noop { concurrency: *c, jobs: *jobs }) as Box<dyn Case>).collect()
            }
            Self::Lone { jobs, gap_ms } => vec![Box::new(Lone { jobs: *jobs, gap: ms(*gap_ms) })],
            Self::Add { batch, flight, jobs } => {
                let ways = batch.iter().map(|size| Way::Batch(*size)).chain(flight.iter().map(|w| Way::Flight(*w)));
                ways.map(|way| Box::new(Add { way, jobs: *jobs }) as Box<dyn Case>).collect()
            }
            Self::Renew { active, lock_ms } => vec![Box::new(Renew { active: *active, lock: ms(*lock_ms) })],
            Self::Blocked { active, lock_ms } => vec![Box::new(Blocked { active: *active, lock: ms(*lock_ms) })],
            Self::Recover { lapsed } => vec![Box::new(Recover { lapsed: *lapsed })],
            Self::Idle { seconds } => vec![Box::new(Idle { window: Duration::from_secs(*seconds) })],
            Self::File { what, durability } => durability.iter().flat_map(|kind| what.cases(*kind)).collect(),
            Self::Driver { .. } => Vec::new(),
        }
    }
}
