//! A link against a real server, and against one behind a proxy that loses things.

use std::future::Future;
use std::time::Duration;

use interop::redis::RedisServer;
use interop::wait;
use redis::{Value, cmd};
use tokio::time::Instant;

use super::{Link, Purpose};
use crate::error::Error;
use crate::store::url;

mod pace;
mod server;
mod wire;

/// Longer than any healthy call takes on a slow machine.
const LONG: Duration = Duration::from_secs(30);

fn link(url: &str, purpose: Purpose) -> Link {
    Link::new(url::redis_address(url).unwrap(), purpose, None)
}

fn commands(server: &RedisServer) -> Link {
    link(&server.url(), Purpose::Commands)
}

/// Repeats a call, as callers do, until it succeeds; the errors on the way are its answer too.
async fn until_ok<F: Future<Output = Result<Value, Error>>>(mut call: impl FnMut() -> F) -> (Value, Vec<Error>) {
    let give_up = Instant::now() + wait::DEADLINE;
    let mut errors = Vec::new();
    loop {
        match call().await {
            Ok(value) => return (value, errors),
            Err(error) => errors.push(error),
        }
        assert!(Instant::now() < give_up, "never succeeded: {:?}", errors.last());
        // sleep: a caller's own backoff
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn run(connection: &mut redis::Connection, line: &str) {
    let mut words = line.split(' ');
    let mut command = cmd(words.next().unwrap());
    words.for_each(|word| {
        command.arg(word);
    });
    command.exec(connection).unwrap();
}
