//! The helper's side: remember, and when the pipe closes, kill.

use std::collections::{BTreeMap, HashSet};
use std::io::BufRead;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::process::Signal as Kill;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Word;
use crate::work::process::{self, Process};

/// How long to look for a command that was being spawned when the worker died.
const LOOK_FOR: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The whole life of a helper.
pub(crate) fn help() -> ExitCode {
    // A signal that has a handler does not end the process. A helper that cannot have that still helps with the rest.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok();
    let _signals = runtime.as_ref().map(|runtime| {
        let _inside = runtime.enter();
        deaf()
    });
    let mut left = BTreeMap::new();
    let mut line = Vec::new();
    let mut pipe = std::io::stdin().lock();
    loop {
        line.clear();
        if !matches!(pipe.read_until(b'\n', &mut line), Ok(1..)) {
            break;
        }
        match std::str::from_utf8(&line).ok().and_then(Word::read) {
            Some(Word::Spawning { token }) => {
                left.insert(token, None);
            }
            Some(Word::Started { token, leader }) => {
                left.insert(token, Some(leader));
            }
            Some(Word::Ended { token }) => {
                left.remove(&token);
            }
            // Cut off in the middle: the worker died while it wrote. What was announced before stands.
            None => {}
        }
    }
    end(&left);
    ExitCode::SUCCESS
}

fn deaf() -> Vec<Signal> {
    [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()]
        .into_iter()
        .filter_map(|kind| signal(kind).ok())
        .collect()
}

/// Kills what is left: the groups that are known, and whatever has one of the tokens in its environment.
fn end(left: &BTreeMap<String, Option<Process>>) {
    for leader in left.values().flatten() {
        leader.signal_group(Kill::KILL);
    }
    let tokens: HashSet<String> = left.keys().cloned().collect();
    // Some may have been between being announced and having a number that we were told. They may not have come to be.
    let some_unknown = left.values().any(Option::is_none);
    let begun = Instant::now();
    while !tokens.is_empty() {
        let found = process::with_tokens(&tokens);
        for (_, process) in &found {
            process.signal(Kill::KILL);
        }
        let done = found.is_empty() && !some_unknown;
        if done || begun.elapsed() > LOOK_FOR {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
