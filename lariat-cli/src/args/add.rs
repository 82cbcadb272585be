//! What may be typed behind `lariat add`.

use std::time::Duration;

use clap::Args;
use lariat::{Backoff, Keep};

use super::values::{backoff, duration, keep, positive, priority};

const ADD_EXAMPLES: &str = "\
Examples:
  lariat add mail welcome '{\"to\":\"ada@example.org\"}'
  lariat add mail reminder --delay 1h30m --id invoice-7-reminder
  lariat add mail digest --attempts 5 --backoff exponential:1s:0.5 --remove-on-complete 1000
  lariat add mail --stdin < jobs.jsonl

Prints the job's id. Adding an id that exists adds nothing and prints it.

A line of stdin is {\"name\":…,\"data\":…,\"opts\":{…}}, with the options as BullMQ names them. Jobs are \
added in their order, in batches of 500 (fewer where they are large), each as a whole or not at all; \
some are on their way at a time, and a lost connection may change their order. A bad line ends it (exit \
status 1): the batches before its own stay, nothing of its batch or after it is added.";

#[derive(Debug, Args)]
#[command(after_help = ADD_EXAMPLES)]
pub(crate) struct AddArgs {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: String,
    /// The job's name: what sort of work it is
    #[arg(value_name = "NAME", required_unless_present = "stdin", conflicts_with = "stdin")]
    pub(crate) name: Option<String>,
    /// The job's data; {} when not given
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    pub(crate) data: Option<String>,
    /// Read jobs from stdin, one JSON object a line
    #[arg(long, conflicts_with_all = ["id", "delay", "priority", "attempts", "backoff", "lifo", "remove_on_complete", "remove_on_fail"])]
    pub(crate) stdin: bool,
    /// The job's id, instead of the queue's next number
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// Run it no earlier than so long from now
    #[arg(long, value_name = "D", value_parser = duration, allow_hyphen_values = true)]
    pub(crate) delay: Option<Duration>,
    /// 1 (most urgent) to 2097151; 0: in order of arrival, before all others
    #[arg(long, value_name = "N", value_parser = priority, allow_hyphen_values = true)]
    pub(crate) priority: Option<u32>,
    /// How often it may be tried, the first time included; 0 counts as 1
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) attempts: Option<u32>,
    /// The wait before another attempt: fixed:1s or exponential:1s, with the part that is left to chance: :0.5
    #[arg(long, value_name = "KIND:D[:JITTER]", value_parser = backoff)]
    pub(crate) backoff: Option<Backoff>,
    /// Put it in front of the waiting jobs
    #[arg(long)]
    pub(crate) lifo: bool,
    /// Keep only the newest N completed jobs once this one completes; true: remove it
    #[arg(long, value_name = "N|true", value_parser = keep)]
    pub(crate) remove_on_complete: Option<Keep>,
    /// Keep only the newest N failed jobs once this one fails; true: remove it
    #[arg(long, value_name = "N|true", value_parser = keep)]
    pub(crate) remove_on_fail: Option<Keep>,
    /// How long to try when the store cannot be reached
    #[arg(long, value_name = "D", value_parser = positive, default_value = "5s")]
    pub(crate) wait: Duration,
    /// Print {"id":…} instead of the bare id
    #[arg(long)]
    pub(crate) json: bool,
}
