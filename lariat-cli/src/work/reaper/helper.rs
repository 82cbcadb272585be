//! The helper's side: remember, and when the pipe closes, kill.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Leader, Word, process};

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
    end(left);
    ExitCode::SUCCESS
}

fn deaf() -> Vec<Signal> {
    [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()]
        .into_iter()
        .filter_map(|kind| signal(kind).ok())
        .collect()
}

/// Kills what is left.
fn end(left: BTreeMap<String, Option<Leader>>) {
    let mut unknown = Vec::new();
    for (token, leader) in left {
        match leader {
            Some(leader) => process::kill_group_of(leader),
            None => unknown.push(token),
        }
    }
    // These were between being announced and having a number that we were told. They may not have come to be.
    let begun = Instant::now();
    while !unknown.is_empty() && begun.elapsed() < LOOK_FOR {
        for token in &unknown {
            process::kill_all_with(token);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
