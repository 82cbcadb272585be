//! What may be typed: verbs, options, and the small languages of their values.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lariat::{Backoff, Keep, MAX_PRIORITY};

const EXAMPLES: &str = "\
Example:
  export LARIAT_STORE=redis://localhost:6379
  lariat add mail welcome '{\"to\":\"ada@example.org\"}' --attempts 3 --backoff exponential:1s
  lariat work mail -c 4 -- ./send-mail
  lariat queue stats mail

Exit status:
  0 done, 1 failed, 2 usage, 3 not found, 4 store unreachable, 5 stopped with jobs handed back,
  128+n ended by force (signal n)";

/// Background jobs on a store that BullMQ shares: add them, run any program for each, look into queues.
#[derive(Debug, Parser)]
#[command(name = "lariat", version, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Where the queues are.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Where the jobs live: redis://[user:pass@]host[:port][/db]. Not given: sqlite:lariat.db
    #[arg(long, global = true, value_name = "URL", env = "LARIAT_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    /// The first part of every key, BullMQ's `prefix`
    #[arg(long, global = true, value_name = "PREFIX", env = "LARIAT_PREFIX", default_value = "bull")]
    pub(crate) prefix: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Add a job, or one for each line of stdin
    Add(AddArgs),
    /// Run a command for each job of one or more queues
    Work(WorkArgs),
    /// Look at one job
    #[command(subcommand, arg_required_else_help = true)]
    Job(JobVerb),
    /// Look at a queue as a whole
    #[command(subcommand, arg_required_else_help = true)]
    Queue(QueueVerb),
}

const ADD_EXAMPLES: &str = "\
Examples:
  lariat add mail welcome '{\"to\":\"ada@example.org\"}'
  lariat add mail reminder --delay 1h30m --id invoice-7-reminder
  lariat add mail digest --attempts 5 --backoff exponential:1s:0.5 --remove-on-complete 1000
  lariat add mail --stdin < jobs.jsonl

Prints the job's id. Adding an id that exists adds nothing and prints it.

A line of stdin is {\"name\":…,\"data\":…,\"opts\":{…}}, with the options as BullMQ names them. Jobs are
added 500 at a time. A bad line ends it (exit status 1): the batches before its own stay, nothing of
its batch or after it is added.";

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
    /// How often it may be tried
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

#[derive(Debug, Subcommand)]
pub(crate) enum JobVerb {
    /// Everything that is stored about a job
    #[command(after_help = "Example:\n  lariat job get mail 17 --json | jq .failedReason")]
    Get(GetArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: String,
    /// The job's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Print one JSON object; what is absent is null, times are Unix ms
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueVerb {
    /// How many jobs are in each state, and whether the queue is paused
    #[command(after_help = "Example:\n  lariat queue stats mail --json | jq .counts.failed")]
    Stats(StatsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: String,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "must be a duration such as 500ms, 5s, 2m or 1h30m".to_owned())
}

fn priority(text: &str) -> Result<u32, String> {
    let priority = text.parse().ok().filter(|priority| *priority <= MAX_PRIORITY);
    priority.ok_or_else(|| format!("must be 0 to {MAX_PRIORITY}"))
}

fn positive(text: &str) -> Result<Duration, String> {
    at_least(text, Duration::from_millis(1), "1ms")
}

fn lock_duration(text: &str) -> Result<Duration, String> {
    at_least(text, Duration::from_secs(1), "1s")
}

fn at_least(text: &str, least: Duration, shown: &str) -> Result<Duration, String> {
    let given = duration(text)?;
    if given < least { Err(format!("must be at least {shown}")) } else { Ok(given) }
}

fn backoff(text: &str) -> Result<Backoff, String> {
    const RULE: &str = "must be fixed:D or exponential:D, and may end with :JITTER; for example exponential:1s:0.5";
    let mut parts = text.split(':');
    let (kind, delay, jitter) = (parts.next(), parts.next(), parts.next());
    if parts.next().is_some() {
        return Err(RULE.to_owned());
    }
    let delay = duration(delay.ok_or(RULE)?)?;
    let backoff = match kind {
        Some("fixed") => Backoff::fixed(delay),
        Some("exponential") => Backoff::exponential(delay),
        _ => return Err(RULE.to_owned()),
    };
    let Some(jitter) = jitter else { return Ok(backoff) };
    match jitter.parse::<f64>() {
        Ok(part) if (0.0..=1.0).contains(&part) => Ok(backoff.jitter(part)),
        _ => Err("the jitter must be a number between 0 and 1".to_owned()),
    }
}

fn keep(text: &str) -> Result<Keep, String> {
    match text {
        "true" => Ok(Keep::NONE),
        _ => text.parse().map(Keep::last).map_err(|_| "must be a number of jobs, or true".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use lariat::BackoffKind;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["", "5", "-5s", "soon", "5 parsecs"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        assert!(lock_duration("999ms").is_err());
        assert!(positive("0s").is_err());
    }

    #[test]
    fn a_backoff_has_two_or_three_parts() {
        let full = backoff("exponential:1s:0.25").unwrap();
        assert_eq!((full.kind, full.delay, full.jitter), (BackoffKind::Exponential, Duration::from_secs(1), 0.25));
        assert_eq!(backoff("fixed:2m").unwrap(), Backoff::fixed(Duration::from_secs(120)));
        for bad in ["", "fixed", "1s", "linear:1s", "fixed:1", "fixed:1s:2", "fixed:1s:nan", "fixed:1s:0.1:0"] {
            assert!(backoff(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn options_stand_behind_the_verb_or_behind_the_queue() {
        for line in [
            &["lariat", "add", "--store", "redis://x", "q", "n", "{}", "--delay", "1s"][..],
            &["lariat", "--store", "redis://x", "add", "--delay", "1s", "q", "n", "{}"][..],
            &["lariat", "add", "q", "--delay", "1s", "n", "{}", "--store", "redis://x"][..],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.store.store.as_deref(), Some("redis://x"));
            let Verb::Add(add) = cli.verb else { panic!("not add") };
            assert_eq!((add.queue.as_str(), add.delay), ("q", Some(Duration::from_secs(1))));
        }
    }

    #[test]
    fn what_follows_the_dashes_is_the_commands_own() {
        let cli = Cli::try_parse_from(["lariat", "work", "a", "b", "-c", "3", "--", "sh", "-c", "exit 0"]).unwrap();
        let Verb::Work(work) = cli.verb else { panic!("not work") };
        assert_eq!((work.queues, work.concurrency), (vec!["a".to_owned(), "b".to_owned()], 3));
        assert_eq!(work.command, ["sh", "-c", "exit 0"]);
    }
}
