//! What may be typed behind `lariat job`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use lariat::JobState;

use super::values::state;

#[derive(Debug, Subcommand)]
pub(crate) enum JobVerb {
    /// The jobs of one state
    Ls(ListArgs),
    /// Everything that is stored about a job
    Get(GetArgs),
    /// Let a failed or completed job run again
    Retry(ChangeArgs),
    /// Let a delayed job run now
    Promote(ChangeArgs),
    /// Delete a job, and the jobs below it in a flow
    Rm(RemoveArgs),
    /// Say how far a job is
    #[command(override_usage = PROGRESS_USAGE)]
    #[command(after_help = PROGRESS_EXAMPLES)]
    Progress(InsideArgs),
    /// Append a row to a job's log
    #[command(override_usage = LOG_USAGE)]
    #[command(after_help = LOG_EXAMPLES)]
    Log(InsideArgs),
    /// The rows of a job's log, oldest first
    Logs(LogsArgs),
}

/// One job of a queue.
#[derive(Debug, Args)]
pub(crate) struct OneJob {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: String,
    /// The job's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

const LS_EXAMPLES: &str = "\
Examples:
  lariat job ls mail --state failed --newest --count 20
  lariat job ls mail --state failed --json | jq -r '.[].id' | xargs -n1 lariat job retry mail

As JSON: an array of objects as `lariat job get` has them.

In the order in which they will run or came to be in that state. A long listing is read 100 jobs at \
a time while the queue goes on, so a job that moves meanwhile may be missing. A job whose record \
cannot be read is named on stderr (exit status 1, at the end).";

#[derive(Debug, Args)]
#[command(after_help = LS_EXAMPLES)]
pub(crate) struct ListArgs {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: String,
    /// Which jobs
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(JobState::ALL.map(JobState::as_str)).try_map(|name| state(&name)))]
    pub(crate) state: JobState,
    /// How many to pass over
    #[arg(long, value_name = "N", default_value = "0", allow_hyphen_values = true)]
    pub(crate) from: u64,
    /// How many to list; all when not given
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) count: Option<u64>,
    /// In the reverse order: the newest first
    #[arg(long)]
    pub(crate) newest: bool,
    /// Print an array of JSON objects
    #[arg(long)]
    pub(crate) json: bool,
}

const GET_EXAMPLES: &str = "\
Example:
  lariat job get mail 17 --json | jq .failedReason

As JSON: id name data opts state attemptsMade attemptsStarted stalledCounter returnvalue failedReason \
stacktrace progress timestamp processedOn finishedOn delay priority parent processedBy deduplicationId";

#[derive(Debug, Args)]
#[command(after_help = GET_EXAMPLES)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) job: OneJob,
    /// Print one JSON object; what is absent is null, times are Unix ms
    #[arg(long)]
    pub(crate) json: bool,
}

const CHANGE_EXAMPLES: &str = "\
Examples:
  lariat job retry mail 17
  lariat job promote mail 18

Prints nothing. A job in another state is refused (exit status 1) and left as it is.";

#[derive(Debug, Args)]
#[command(after_help = CHANGE_EXAMPLES)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    pub(crate) job: OneJob,
    /// Print {"id":…} when it is done
    #[arg(long)]
    pub(crate) json: bool,
}

const RM_EXAMPLES: &str = "\
Example:
  lariat job rm mail 17

Prints nothing. Refused (exit status 1) while a worker holds the job or one of the jobs below it: then \
nothing is deleted.";

#[derive(Debug, Args)]
#[command(after_help = RM_EXAMPLES)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    pub(crate) job: OneJob,
    /// Leave the jobs below it
    #[arg(long)]
    pub(crate) keep_children: bool,
    /// Print {"id":…} when it is done
    #[arg(long)]
    pub(crate) json: bool,
}

const PROGRESS_USAGE: &str = "\
lariat job progress [OPTIONS] JSON
       lariat job progress [OPTIONS] QUEUE ID JSON";

const PROGRESS_EXAMPLES: &str = "\
Examples:
  lariat job progress 40                      in a command that `lariat work` runs: its own job
  lariat job progress mail 17 '{\"step\":2}'

Prints nothing. Without QUEUE and ID, LARIAT_QUEUE and LARIAT_JOB_ID say which job. For that job it is \
refused (exit status 1) when the token in LARIAT_TOKEN no longer holds the job's lock.";

const LOG_USAGE: &str = "\
lariat job log [OPTIONS] TEXT
       lariat job log [OPTIONS] QUEUE ID TEXT";

const LOG_EXAMPLES: &str = "\
Examples:
  lariat job log 'half of it is done'         in a command that `lariat work` runs: its own job
  lariat job log mail 17 'looked at by hand'

Prints nothing; as JSON: id, and rows, how many the log has now. Without QUEUE and ID, LARIAT_QUEUE \
and LARIAT_JOB_ID say which job. For that job it is refused (exit status 1) when the token in \
LARIAT_TOKEN no longer holds the job's lock. Where the job was added with keepLogs, only so many rows \
are kept.

A TEXT that begins with a dash stands behind --.";

#[derive(Debug, Args)]
pub(crate) struct InsideArgs {
    /// What to record, with the job before it where that is not the environment's
    #[arg(value_name = "[QUEUE ID] VALUE", required = true, num_args = 1..=3, allow_negative_numbers = true)]
    pub(crate) words: Vec<String>,
    /// Print a JSON object when it is done
    #[arg(long)]
    pub(crate) json: bool,
}

const LOGS_EXAMPLES: &str = "\
Example:
  lariat job logs mail 17

As JSON: id; count, how many rows the log has; logs, an array of strings.";

#[derive(Debug, Args)]
#[command(after_help = LOGS_EXAMPLES)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) job: OneJob,
    /// How many rows to pass over
    #[arg(long, value_name = "N", default_value = "0", allow_hyphen_values = true)]
    pub(crate) from: u64,
    /// How many rows to print; all when not given
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) count: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
