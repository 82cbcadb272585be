//! What may be typed behind `lariat work`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::values::{duration, lock_duration, positive};

const WORK_EXAMPLES: &str = "\
Examples:
  lariat work mail -c 4 -- ./send-mail
  lariat work thumbnails --timeout 2m -- python3 resize.py
  lariat work mail --exit-when-drained -- sh -c 'jq -r .to | xargs -n1 ./notify'

CMD runs once for each job, without a shell, in a process group of its own. It gets:
  stdin        the job's data, as JSON (it need not read it)
  environment  LARIAT_STORE, LARIAT_PREFIX, LARIAT_QUEUE, LARIAT_JOB_ID, LARIAT_JOB_NAME,
               LARIAT_ATTEMPT (1 for the first), LARIAT_STARTS (grows with every run: a fencing
               value), LARIAT_TOKEN, LARIAT_TRACEPARENT

What its end means:
  0            completed; what it printed, less one final newline, is the result: as JSON if it
               parses, else as a string; nothing printed is null; over 1 MiB is a failed attempt
  75           later: again after the next attempt's backoff (else 1 s); no attempt is used
  65           failed for good
  other        a failed attempt; the reason is the end of its stderr (4 KiB), else its status

Its stderr goes to the job's log while it runs (1,000 lines of 4 KiB). What it leaves running in its
process group is killed as it ends.

A timeout, a cancel or a lost lock sends TERM to the process group, and KILL 2 s later. Commands end
with the worker, however it ends.

Signals:
  TERM or INT  no new jobs, wait up to --grace, then TERM and KILL, and hand the jobs back (exit
               status 5); a second one does that at once, a third exits at once
  TSTP, CONT   no new jobs; go on
  USR1         what is running, to stderr";

#[derive(Debug, Args)]
#[command(after_help = WORK_EXAMPLES)]
pub(crate) struct WorkArgs {
    /// The queues
    #[arg(value_name = "QUEUE", required = true)]
    pub(crate) queues: Vec<String>,
    /// The command and its arguments
    #[arg(value_name = "CMD", last = true, required = true)]
    pub(crate) command: Vec<OsString>,
    /// How many commands to run at a time, for each queue
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrency: u32,
    /// How long a job stays ours without a sign of life; at least 1s
    #[arg(long, value_name = "D", default_value = "30s", value_parser = lock_duration)]
    pub(crate) lock_duration: Duration,
    /// How old a lock may grow before it is renewed; half of --lock-duration when not given
    #[arg(long, value_name = "D", value_parser = positive)]
    pub(crate) lock_renew: Option<Duration>,
    /// How often to look for jobs whose worker has died
    #[arg(long, value_name = "D", default_value = "30s", value_parser = positive)]
    pub(crate) stalled_interval: Duration,
    /// How often a job may lose its worker before it fails
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) max_stalled: u32,
    /// How long one run may take; a longer one is stopped: a failed attempt
    #[arg(long, value_name = "D", value_parser = positive)]
    pub(crate) timeout: Option<Duration>,
    /// How long running commands may go on after the first TERM or INT
    #[arg(long, value_name = "D", default_value = "25s", value_parser = duration)]
    pub(crate) grace: Duration,
    /// Stop once nothing is waiting, active, prioritized or delayed
    #[arg(long)]
    pub(crate) exit_when_drained: bool,
    /// This worker's name, recorded with the jobs it runs
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}
