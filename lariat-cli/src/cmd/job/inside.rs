//! `lariat job progress` and `lariat job log`: for use in a command that `lariat work` runs, or by hand.

use std::ffi::OsString;

use lariat::{Error, JobEdit, Refusal};
use serde::Serialize;

use super::Target;
use crate::args::{InsideArgs, StoreArgs};
use crate::failure::{Failure, status};
use crate::output;

pub(super) async fn progress(store: &StoreArgs, args: InsideArgs) -> Result<u8, Failure> {
    let inside = Inside::of(args.words, &|name| std::env::var_os(name))?;
    let progress = crate::cmd::typed_json(&inside.value)?;
    let job = inside.target(store)?;
    match inside.edit(&job).progress(&progress).await {
        Ok(()) => job.done(args.json),
        Err(error) => Err(refused(&job, error).await),
    }
}

/// What `--json` prints of a log.
#[derive(Serialize)]
struct Logged<'a> {
    id: &'a str,
    rows: u64,
}

pub(super) async fn log(store: &StoreArgs, args: InsideArgs) -> Result<u8, Failure> {
    let inside = Inside::of(args.words, &|name| std::env::var_os(name))?;
    let job = inside.target(store)?;
    // How much of a log is kept is said in the job's own options.
    let keep = job.stored().await?.record.options.keep_logs;
    match inside.edit(&job).log(vec![inside.value.clone()], keep).await {
        Ok(rows) if args.json => {
            output::print_json(&Logged { id: job.id.as_str(), rows })?;
            Ok(status::DONE)
        }
        Ok(_) => Ok(status::DONE),
        Err(error) => Err(refused(&job, error).await),
    }
}

async fn refused(job: &Target, error: Error) -> Failure {
    match error.refusal() {
        Some(Refusal::MissingLock | Refusal::LockTaken) => {
            job.failed("is no longer held by the token in LARIAT_TOKEN: the lock is lost, or the run is over")
        }
        _ => job.refused(error, "active").await,
    }
}

/// What is to be recorded, for which job, and on whose behalf.
#[derive(Debug, PartialEq, Eq)]
struct Inside {
    queue: String,
    id: String,
    /// Who has to hold the job; None for a job that is not the environment's.
    token: Option<String>,
    value: String,
}

impl Inside {
    fn of(words: Vec<String>, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Inside, Failure> {
        let set = |name: &str| match variable(name).filter(|value| !value.is_empty()).map(OsString::into_string) {
            Some(Err(_)) => Err(Failure::usage(format!("{name} is not UTF-8"))),
            Some(Ok(value)) => Ok(Some(value)),
            None => Ok(None),
        };
        let (ours, token) = (set("LARIAT_QUEUE")?.zip(set("LARIAT_JOB_ID")?), set("LARIAT_TOKEN")?);
        match <[String; 3]>::try_from(words) {
            Ok([queue, id, value]) => {
                let is_ours = ours.is_some_and(|(our_queue, our_id)| our_queue == queue && our_id == id);
                Ok(Inside { queue, id, token: token.filter(|_| is_ours), value })
            }
            Err(words) => {
                let [value] = <[String; 1]>::try_from(words)
                    .map_err(|_| Failure::usage("QUEUE and ID must both be given, or neither"))?;
                let (queue, id) = ours.ok_or_else(|| {
                    Failure::usage("no QUEUE and ID are given, and LARIAT_QUEUE and LARIAT_JOB_ID are not set")
                })?;
                Ok(Inside { queue, id, token, value })
            }
        }
    }

    fn target(&self, store: &StoreArgs) -> Result<Target, Failure> {
        Target::new(store, &self.queue, &self.id)
    }

    fn edit<'a>(&self, job: &'a Target) -> JobEdit<'a> {
        let edit = job.queue.edit(&job.id);
        match &self.token {
            Some(token) => edit.held_by(token.as_str()),
            None => edit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(words: &[&str], environment: &[(&str, &str)]) -> Result<Inside, String> {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        let variable =
            |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        Inside::of(words, &variable).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_token_counts_for_the_environments_job_only() {
        let environment = [("LARIAT_QUEUE", "q"), ("LARIAT_JOB_ID", "7"), ("LARIAT_TOKEN", "t")];
        let of = |queue: &str, id: &str, token: Option<&str>| {
            Ok(Inside { queue: queue.into(), id: id.into(), token: token.map(Into::into), value: "1".into() })
        };
        assert_eq!(inside(&["1"], &environment), of("q", "7", Some("t")));
        assert_eq!(inside(&["q", "7", "1"], &environment), of("q", "7", Some("t")));
        assert_eq!(inside(&["q", "8", "1"], &environment), of("q", "8", None));
        assert_eq!(inside(&["p", "7", "1"], &environment), of("p", "7", None));
        assert_eq!(inside(&["q", "7", "1"], &[]), of("q", "7", None));
    }

    #[test]
    fn without_a_job_there_is_nothing_to_do() {
        for (words, environment) in [
            (&["1"][..], &[][..]),
            (&["1"], &[("LARIAT_QUEUE", "q"), ("LARIAT_TOKEN", "t")]),
            (&["1"], &[("LARIAT_QUEUE", "q"), ("LARIAT_JOB_ID", "")]),
            (&["7", "1"], &[("LARIAT_QUEUE", "q"), ("LARIAT_JOB_ID", "7")]),
        ] {
            assert!(inside(words, environment).is_err(), "{words:?} {environment:?}");
        }
    }
}
