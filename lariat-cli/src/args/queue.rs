//! What may be typed behind `lariat queue`, `lariat locks` and `lariat events`.

use clap::{Args, Subcommand};
use lariat::RateLimit;

use super::values::{Limit, concurrency, rate};

#[derive(Debug, Subcommand)]
pub(crate) enum QueueVerb {
    /// The queues of the store, with how many jobs are in each state
    Ls(QueuesArgs),
    /// How many jobs are in each state, whether the queue is paused, and its limits
    #[command(after_help = STATS_EXAMPLES)]
    Stats(OneQueue),
    /// Hand out no more jobs until it is resumed; those that run go on
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause(OneQueue),
    /// Hand out jobs again
    #[command(after_help = RESUME_EXAMPLES)]
    Resume(OneQueue),
    /// Show, set or lift the limits over all workers
    Limit(LimitArgs),
}

const STATS_EXAMPLES: &str = "\
Example:
  lariat queue stats mail --json | jq .counts.failed

As JSON: queue; paused; counts: waiting active delayed prioritized completed failed waiting-children; \
limits: as `lariat queue limit` has them.";

const PAUSE_EXAMPLES: &str = "\
Example:
  lariat queue pause mail

Prints nothing; as JSON: queue, paused.";

const RESUME_EXAMPLES: &str = "\
Example:
  lariat queue resume mail

Prints nothing; as JSON: queue, paused.";

#[derive(Debug, Args)]
pub(crate) struct OneQueue {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: String,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

const LS_EXAMPLES: &str = "\
Example:
  lariat queue ls --json | jq -r '.[] | select(.paused) | .queue'

As JSON: an array of objects as `lariat queue stats` has them. On Redis it goes through all keys of \
the database in small steps.";

#[derive(Debug, Args)]
#[command(after_help = LS_EXAMPLES)]
pub(crate) struct QueuesArgs {
    /// Print an array of JSON objects
    #[arg(long)]
    pub(crate) json: bool,
}

const LIMIT_EXAMPLES: &str = "\
Examples:
  lariat queue limit mail                                       show
  lariat queue limit mail --concurrency 10 --rate 100/1m        set
  lariat queue limit mail --concurrency none --rate none        lift

Prints the limits; when it sets some, only with --json. As JSON: queue; limits, with concurrency; rate, \
with max and durationMs; limitedForMs, how long no job starts because of the rate. No limit is null.";

#[derive(Debug, Args)]
#[command(after_help = LIMIT_EXAMPLES)]
pub(crate) struct LimitArgs {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: String,
    /// Most jobs that are active at a time, over all workers
    #[arg(long, value_name = "N|none", value_parser = concurrency, allow_hyphen_values = true)]
    pub(crate) concurrency: Option<Limit<u64>>,
    /// Most jobs that start in each window of this length, over all workers
    #[arg(long, value_name = "N/D|none", value_parser = rate, allow_hyphen_values = true)]
    pub(crate) rate: Option<Limit<RateLimit>>,
    /// Print the limits as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

const LOCKS_EXAMPLES: &str = "\
Example:
  lariat locks mail

The longest held first. As JSON: an array of id, name, token (masked but for its last 4 characters), \
worker, heldMs, leftMs. A job without a token is held by nobody: the search for stalled jobs will put \
it back.";

#[derive(Debug, Args)]
#[command(after_help = LOCKS_EXAMPLES)]
pub(crate) struct LocksArgs {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: String,
    /// Print an array of JSON objects
    #[arg(long)]
    pub(crate) json: bool,
}

const EVENTS_EXAMPLES: &str = "\
Examples:
  lariat events mail | jq -r 'select(.event == \"failed\") | .jobId + \" \" + .failedReason'
  lariat events mail --from 0-0                                 all that are kept, then new ones

One JSON object a line: id; at, in Unix ms; event, its name; then its fields as BullMQ names them: \
progress (data) and results (returnvalue) as JSON, delay, attemptsMade and count as numbers, all \
others as strings. (A field that is itself named id, at or event is called _id, _at or _event.)

It goes on until ^C, or until nobody reads, and after a lost connection reads on where it was. The \
store keeps the newest events only, about 10,000.";

#[derive(Debug, Args)]
#[command(after_help = EVENTS_EXAMPLES)]
pub(crate) struct EventsArgs {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: String,
    /// Begin behind this event, as far as events are kept; 0-0 stands before the first
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// As every verb has it; events are JSON with or without it
    #[arg(long)]
    pub(crate) json: bool,
}
