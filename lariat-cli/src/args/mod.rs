//! What may be typed: verbs, options, and the small languages of their values.

mod add;
mod demo;
mod job;
mod queue;
mod values;
mod work;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::add::AddArgs;
pub(crate) use self::demo::DemoArgs;
pub(crate) use self::job::{ChangeArgs, GetArgs, InsideArgs, JobVerb, ListArgs, LogsArgs, OneJob, RemoveArgs};
pub(crate) use self::queue::{EventsArgs, LimitArgs, LocksArgs, OneQueue, QueueVerb, QueuesArgs};
pub(crate) use self::values::Limit;
pub(crate) use self::work::{LogFormat, WorkArgs};

const EXAMPLES: &str = "\
Example:
  lariat demo
  export LARIAT_STORE=redis://localhost:6379
  lariat add mail welcome '{\"to\":\"ada@example.org\"}' --attempts 3 --backoff exponential:1s
  lariat work mail -c 4 -- ./send-mail
  lariat queue stats mail
  lariat job ls mail --state failed

Data goes to stdout, words to stderr. With --json what is absent is null, and times are Unix ms.

Exit status:
  0 done, 1 failed, 2 usage, 3 not found, 4 store unreachable, 5 stopped with jobs handed back,
  128+n ended by force (signal n)";

/// Background jobs in one file, or on a store that BullMQ shares: add them, run any program for each, look into queues.
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
    /// Where the jobs live: sqlite:PATH[?durability=normal][&adopt=true], redis://[user:pass@]host[:port][/db] or
    /// redis+unix:PATH. Not given: sqlite:lariat.db, and for demo a temporary file
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
    /// Look at jobs, and change one
    #[command(subcommand, arg_required_else_help = true)]
    Job(JobVerb),
    /// Look at queues as a whole, and set how they are worked
    #[command(subcommand, arg_required_else_help = true)]
    Queue(QueueVerb),
    /// The jobs that run, and who holds them
    Locks(LocksArgs),
    /// What happens in a queue, as it happens
    Events(EventsArgs),
    /// See it work: hash the files of a folder with several workers, and kill one of them
    Demo(DemoArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::time::Duration;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
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
