//! The store that was named, and its queues. No I/O: connections are made when they are needed.

use lariat::{Prefix, Queue, Store};

use crate::args::StoreArgs;
use crate::failure::Failure;

/// The store that is used when none is named.
const DEFAULT: &str = "sqlite:lariat.db";

pub(crate) fn open(args: &StoreArgs) -> Result<Store, Failure> {
    let prefix = Prefix::new(args.prefix.as_str())?;
    let store = Store::open(url(args)).map_err(|error| {
        let failure = Failure::from(error);
        if named(args).is_some() {
            return failure;
        }
        let words = format!("no store is named, and the default, {DEFAULT}, cannot be used: ");
        failure.before(&words).after("; name it with --store URL or LARIAT_STORE")
    })?;
    Ok(store.with_prefix(prefix))
}

/// A queue of the store that was named.
pub(crate) fn open_queue(args: &StoreArgs, name: &str) -> Result<Queue, Failure> {
    Ok(Queue::new(&open(args)?, name)?)
}

/// The URL that is used.
pub(crate) fn url(args: &StoreArgs) -> &str {
    named(args).unwrap_or(DEFAULT)
}

/// The URL that was given. A variable that is set to nothing names no store.
pub(crate) fn named(args: &StoreArgs) -> Option<&str> {
    args.store.as_deref().filter(|url| !url.is_empty())
}
