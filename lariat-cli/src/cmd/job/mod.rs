//! `lariat job`: a file for each sort of look or change.

mod change;
mod inside;
mod list;
mod logs;
mod record;

use lariat::{Error, JobId, JobState, Queue, Refusal, StoredJob};
use serde::Serialize;

use crate::args::{GetArgs, JobVerb, OneJob, StoreArgs};
use crate::failure::{Failure, status};
use crate::output;

pub(super) async fn run(store: &StoreArgs, verb: JobVerb) -> Result<u8, Failure> {
    match verb {
        JobVerb::Ls(args) => list::run(store, &args).await,
        JobVerb::Get(args) => get(store, &args).await,
        JobVerb::Retry(args) => change::retry(store, &args).await,
        JobVerb::Promote(args) => change::promote(store, &args).await,
        JobVerb::Rm(args) => change::remove(store, &args).await,
        JobVerb::Progress(args) => inside::progress(store, args).await,
        JobVerb::Log(args) => inside::log(store, args).await,
        JobVerb::Logs(args) => logs::run(store, &args).await,
    }
}

async fn get(store: &StoreArgs, args: &GetArgs) -> Result<u8, Failure> {
    let job = Target::named(store, &args.job)?.stored().await?;
    if args.json {
        output::print_json(&record::Shape::of(&job.record, job.state))?;
    } else {
        output::print(&record::as_text(&job))?;
    }
    Ok(status::DONE)
}

/// The job that a verb is about.
struct Target {
    queue: Queue,
    id: JobId,
}

/// What `--json` prints of a change.
#[derive(Serialize)]
struct Done<'a> {
    id: &'a str,
}

impl Target {
    fn named(store: &StoreArgs, job: &OneJob) -> Result<Target, Failure> {
        Target::new(store, &job.queue, &job.id)
    }

    fn new(store: &StoreArgs, queue: &str, id: &str) -> Result<Target, Failure> {
        Ok(Target { queue: crate::store::open_queue(store, queue)?, id: JobId::existing(id)? })
    }

    /// The job as it is now.
    async fn stored(&self) -> Result<StoredJob, Failure> {
        self.queue.job(&self.id).await?.ok_or_else(|| self.missing())
    }

    fn missing(&self) -> Failure {
        Failure::not_found(format!("queue {:?} has no job {:?}", self.queue.name().as_str(), self.id.as_str()))
    }

    /// Why a change was refused, in words about this job; it could only be made in a state that is `needed`.
    async fn refused(&self, error: Error, needed: &str) -> Failure {
        match error.refusal() {
            Some(Refusal::MissingJob) => self.missing(),
            Some(Refusal::NotInState) => {
                let now = self.queue.job(&self.id).await.ok().flatten().and_then(|job| job.state);
                self.failed(&format!("is {}, not {needed}", now.map_or("in another state", JobState::as_str)))
            }
            _ if error.is_unknown() => Failure::from(error).after("; it may or may not have been done"),
            _ => error.into(),
        }
    }

    fn failed(&self, words: &str) -> Failure {
        let (queue, id) = (self.queue.name().as_str(), self.id.as_str());
        Failure::failed(format!("job {id:?} of queue {queue:?} {words}; nothing was changed"))
    }

    fn done(&self, json: bool) -> Result<u8, Failure> {
        if json {
            output::print_json(&Done { id: self.id.as_str() })?;
        }
        Ok(status::DONE)
    }
}
