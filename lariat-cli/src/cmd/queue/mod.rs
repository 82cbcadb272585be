//! `lariat queue`: a file for looking, one for the limits.

mod limit;
mod stats;

use serde::Serialize;

use crate::args::{OneQueue, QueueVerb, StoreArgs};
use crate::failure::{Failure, status};
use crate::output;

pub(super) async fn run(store: &StoreArgs, verb: QueueVerb) -> Result<u8, Failure> {
    match verb {
        QueueVerb::Ls(args) => stats::all(store, &args).await,
        QueueVerb::Stats(args) => stats::one(store, &args).await,
        QueueVerb::Pause(args) => set_paused(store, &args, true).await,
        QueueVerb::Resume(args) => set_paused(store, &args, false).await,
        QueueVerb::Limit(args) => limit::run(store, &args).await,
    }
}

#[derive(Serialize)]
struct Paused<'a> {
    queue: &'a str,
    paused: bool,
}

async fn set_paused(store: &StoreArgs, args: &OneQueue, paused: bool) -> Result<u8, Failure> {
    let queue = crate::store::open_queue(store, &args.queue)?;
    if paused {
        queue.pause().await?;
    } else {
        queue.resume().await?;
    }
    if args.json {
        output::print_json(&Paused { queue: &args.queue, paused })?;
    }
    Ok(status::DONE)
}
