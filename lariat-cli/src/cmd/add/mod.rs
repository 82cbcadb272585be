//! `lariat add`: one job from the command line, or many from stdin.

mod lines;
mod many;
mod progress;
mod read;

use std::future::Future;
use std::time::Duration;

use lariat::{Error, JobId, JobOptions, NewJob, Queue};
use serde::Serialize;

use crate::args::{AddArgs, StoreArgs};
use crate::failure::{Failure, status};
use crate::output;

/// How much longer than asked we wait for an answer that is on its way.
const LEEWAY: Duration = Duration::from_millis(500);

#[derive(Serialize)]
struct Added<'a> {
    id: &'a str,
}

pub(super) async fn run(store: &StoreArgs, args: AddArgs) -> Result<u8, Failure> {
    let store = crate::store::open(store)?;
    if args.stdin {
        many::run(&store, &args).await?;
    } else {
        let queue = Queue::new(&store, &args.queue)?.with_patience(args.wait);
        one(&queue, args).await?;
    }
    Ok(status::DONE)
}

async fn one(queue: &Queue, args: AddArgs) -> Result<(), Failure> {
    let name = args.name.as_deref().unwrap_or_default();
    // BullMQ stores an empty object where there is no payload.
    let data = super::typed_json(args.data.as_deref().unwrap_or("{}"))?;
    let job = NewJob::new(name, &data).options(options(&args)?);
    job.check()?;
    let ids = answered(args.wait, queue.add_bulk([job])).await?;
    print(&ids, args.json)
}

/// The handle's own patience ends first, and knows better what has happened; this is for a store that lets us wait.
async fn answered(
    wait: Duration,
    adding: impl Future<Output = Result<Vec<JobId>, Error>>,
) -> Result<Vec<JobId>, Failure> {
    match tokio::time::timeout(wait.saturating_add(LEEWAY), adding).await {
        Ok(added) => Ok(added?),
        Err(_) => Err(Failure::unreachable(format!(
            "the store did not answer within {}; it may or may not have added the job",
            output::span(wait)
        ))),
    }
}

fn print(ids: &[JobId], json: bool) -> Result<(), Failure> {
    let mut text = String::new();
    for id in ids {
        if json {
            text += &output::json_line(&Added { id: id.as_str() })?;
        } else {
            text += &output::shown(id.as_str());
        }
        text.push('\n');
    }
    // Whether anybody reads the ids or not, the jobs are to be added.
    output::print(&text).map(drop)
}

fn options(args: &AddArgs) -> Result<JobOptions, Failure> {
    let mut options = JobOptions::default();
    options.id = args.id.as_deref().map(JobId::custom).transpose()?;
    options.delay = args.delay.unwrap_or_default();
    options.priority = args.priority.unwrap_or_default();
    options.attempts = args.attempts.unwrap_or_default();
    options.backoff.clone_from(&args.backoff);
    options.lifo = args.lifo;
    options.remove_on_complete = args.remove_on_complete;
    options.remove_on_fail = args.remove_on_fail;
    Ok(options)
}
