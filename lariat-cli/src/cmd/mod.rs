//! A file for each verb. What may not be in this folder: how arguments are read, or how a command is run.

mod add;
pub(crate) mod demo;
mod events;
mod job;
mod locks;
mod queue;

use serde_json::value::RawValue;

use crate::args::{Cli, Verb};
use crate::failure::Failure;

/// Carries out what was typed; the answer is the exit status.
pub(crate) async fn run(cli: Cli) -> Result<u8, Failure> {
    let store = &cli.store;
    match cli.verb {
        Verb::Add(args) => add::run(store, args).await,
        Verb::Work(args) => crate::work::run(store, args).await,
        Verb::Job(verb) => job::run(store, verb).await,
        Verb::Queue(verb) => queue::run(store, verb).await,
        Verb::Locks(args) => locks::run(store, &args).await,
        Verb::Events(args) => events::run(store, &args).await,
        Verb::Demo(args) => demo::run(store, &args).await,
    }
}

/// JSON that was typed.
fn typed_json(text: &str) -> Result<Box<RawValue>, Failure> {
    serde_json::from_str(text).map_err(|e| {
        let head: String = text.chars().take(60).collect();
        Failure::usage(format!("JSON {head:?} must be valid JSON (a string needs its quotes): {e}"))
    })
}
