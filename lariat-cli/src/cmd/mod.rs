//! A file for each verb. What may not be in this folder: how arguments are read, or how a command is run.

mod add;
mod events;
mod job;
mod locks;
mod queue;

use lariat::{Prefix, Queue, Store};
use serde_json::value::RawValue;

use crate::args::{Cli, StoreArgs, Verb};
use crate::failure::Failure;

/// The store that is used when none is named.
pub(crate) const DEFAULT_STORE: &str = "sqlite:lariat.db";

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
    }
}

/// The store that was named, without any I/O.
pub(crate) fn open(args: &StoreArgs) -> Result<Store, Failure> {
    let prefix = Prefix::new(args.prefix.as_str())?;
    match named(args) {
        Some(url) => Ok(Store::open(url)?.with_prefix(prefix)),
        None => Store::open(DEFAULT_STORE).map(|store| store.with_prefix(prefix)).map_err(|error| {
            let words = format!("no store is named, and the default, {DEFAULT_STORE}, cannot be used: ");
            Failure::from(error).before(&words).after("; name it with --store URL or LARIAT_STORE")
        }),
    }
}

/// The URL that was given. A variable that is set to nothing names no store.
pub(crate) fn named(args: &StoreArgs) -> Option<&str> {
    args.store.as_deref().filter(|url| !url.is_empty())
}

/// A queue of the store that was named, without any I/O.
fn open_queue(args: &StoreArgs, name: &str) -> Result<Queue, Failure> {
    Ok(Queue::new(&open(args)?, name)?)
}

/// JSON that was typed.
fn typed_json(text: &str) -> Result<Box<RawValue>, Failure> {
    serde_json::from_str(text).map_err(|e| {
        let head: String = text.chars().take(60).collect();
        Failure::usage(format!("JSON {head:?} must be valid JSON (a string needs its quotes): {e}"))
    })
}
