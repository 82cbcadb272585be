//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::case::{Add, Blocked, Case, Idle, Lone, Noop, Recover, Renew, Setup, Way};
use crate::peer::Library;

/// Measures Lariat and its peers side by side, each on a redis-server started for the round.
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
    /// Who runs; the first is compared with each of the others
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Library::ALL, global = true)]
    pub(crate) drivers: Vec<Library>,
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
    /// Be a driver process (the bench starts these itself)
    #[command(hide = true)]
    Driver { library: String, port: u16 },
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
            Self::Driver { .. } => Vec::new(),
        }
    }
}
