//! What may be typed behind `lariat demo`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::hold;

const DEMO_EXAMPLES: &str = "\
Examples:
  lariat demo
  lariat demo ~/Documents --workers 8
  lariat demo --store redis://localhost:6379 --json

Each file below DIR becomes a job that computes its SHA-256; some of the jobs are long, and held by
locks of 1.5 s that are renewed all the while. The workers are processes of their own. One of
them is killed by KILL while it holds jobs, and the others run those again. In the end everything is
checked: that no job was lost, that none completed twice, that the killed worker's jobs were found,
that each digest is the one that a direct pass over the files gives.

Not looked at: what is hidden (.git), folders that are tagged as caches (CACHEDIR.TAG, as in Cargo's
target), what symbolic links point to. The first 2000 files count, in the order of their names.

Without --store and LARIAT_STORE the jobs live in a file of their own in the folder for temporary
files; otherwise in a queue of their own in that store. Either is removed in the end, unless --keep.

As JSON, times in ms: held folder store queue jobs longJobs bytes more skipped (hidden caches links
others unreadable) workers concurrency tookMs; quick (jobs tookMs perSecond); locks (durationMs
holdMs renewed calls unanswered smallestTrustMs lost refused); killed (worker pid afterMs held
recovered foundAfterMs endedAfterMs) or null; checks, each with name held words faults.

A call renews all locks that are due; none, where their jobs end while it is on its way.

Exit status: 0 when all of it held, 1 when not, or when there is no file to hash; 2 when DIR is no
folder, 3 when there is no DIR, 4 when the store cannot be reached, 128+n when ended by signal n.";

#[derive(Debug, Args)]
#[command(after_help = DEMO_EXAMPLES)]
pub(crate) struct DemoArgs {
    /// The folder with the files
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// How many worker processes, 2 to 16
    #[arg(short, long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u8).range(2..=16))]
    pub(crate) workers: u8,
    /// How long each of the long jobs takes; at least 3s
    #[arg(long, value_name = "D", default_value = "10s", value_parser = hold)]
    pub(crate) hold: Duration,
    /// Leave the file, or the queue, to be looked at
    #[arg(long)]
    pub(crate) keep: bool,
    /// Print the figures as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
