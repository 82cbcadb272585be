//! The cases: one file each, those on a SQLite file in a folder of their own. A case runs one library once, on a server or
//! a file of its own, and answers figures.
//!
//! Nothing here compares: `rounds` runs everyone in turn and `report` pairs the rounds.

mod add;
mod blocked;
mod file;
mod idle;
mod lone;
mod noop;
mod recover;
mod renew;

use std::time::{Duration, Instant};

use redis::Connection;

use crate::Result;
use crate::meter::length;
use crate::peer::{Library, Peer};
use crate::protocol::{Command, Pace, WorkerSpec};
use crate::server::Server;

pub(crate) use add::{Add, Way};
pub(crate) use blocked::Blocked;
pub(crate) use file::{Depth, FileAdd, FileFlat, FileIdle, FileNoop, FileRenew};
pub(crate) use idle::Idle;
pub(crate) use lone::Lone;
pub(crate) use noop::Noop;
pub(crate) use recover::Recover;
pub(crate) use renew::Renew;

/// One figure of a case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric {
    /// Name in the JSON.
    pub(crate) key: &'static str,
    /// Name and unit in the table.
    pub(crate) label: &'static str,
    /// Digits after the point in the table.
    pub(crate) digits: usize,
    /// What Lariat must reach.
    pub(crate) goal: Goal,
}

/// What Lariat must reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// Told for information.
    None,
    /// At most this, by itself.
    AtMost(f64),
    /// At least this, by itself.
    AtLeast(f64),
    /// At least this many times the other's, round by round.
    AtLeastTimes(f64, Library),
    /// At most this many times the other's, round by round.
    AtMostTimes(f64, Library),
}

/// The figures of one library in one round.
pub(crate) type Sample = Vec<(&'static str, f64)>;

/// One thing to measure.
pub(crate) trait Case {
    /// What it is, with its parameters.
    fn title(&self) -> String;
    /// Who takes part, unless the command line says otherwise.
    fn libraries(&self) -> Vec<Library> {
        vec![Library::Lariat, Library::Official, Library::Node]
    }
    /// What it answers. Owned, since a goal may follow from a parameter.
    fn metrics(&self) -> Vec<Metric>;
    /// Measures one library once.
    fn run(&self, library: Library, setup: Setup) -> Result<Sample>;
}

/// What every run shares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    /// Runtime threads of the Rust drivers.
    pub(crate) threads: usize,
    /// Print the server's commands per job to standard error.
    pub(crate) commands: bool,
}

const QUEUE: &str = "bench";
/// More than any condition here needs, on a machine that is not stuck.
const LONG: Duration = Duration::from_secs(300);

/// A fresh server, the driver to measure, and a second one that fills the queue: the official crate for everyone, so
/// that all libraries find the same jobs. Fields drop in order: the drivers go before their server.
struct Stage {
    peer: Peer,
    filler: Peer,
    redis: Connection,
    server: Server,
}

impl Stage {
    fn set(library: Library, setup: Setup) -> Result<Self> {
        let server = Server::start()?;
        let redis = server.connect()?;
        let peer = Peer::start(library, &server.address(), setup.threads)?;
        let filler = Peer::start(Library::Official, &server.address(), setup.threads)?;
        Ok(Self { peer, filler, redis, server })
    }

    /// Lets the driver drain a queue of its own first: scripts are loaded, Node's compiler has seen the code.
    fn warm(&mut self, concurrency: usize) -> Result<()> {
        const JOBS: usize = 2_000;
        self.filler.add(&adding("warm", "noop", JOBS, Pace::Batch { size: 500 }))?;
        self.peer.work(worker("warm", concurrency))?;
        self.peer.ask(&Command::Finish { count: JOBS as u64 })?;
        self.until("the warm-up ends", |redis| Ok(length(redis, "warm", "completed")? == JOBS))?;
        self.peer.ask(&Command::Close)?;
        self.peer.ask(&Command::Forget)?;
        Ok(())
    }

    fn fill(&mut self, name: &str, jobs: usize) -> Result<()> {
        self.filler.add(&adding(QUEUE, name, jobs, Pace::Batch { size: 500 })).map(drop)
    }

    /// Waits for a condition of the server's, looking every millisecond.
    fn until(&mut self, what: &str, mut so: impl FnMut(&mut Connection) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + LONG;
        while !so(&mut self.redis)? {
            if Instant::now() > deadline {
                return Err(format!("waited {LONG:?} in vain until {what}").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

fn worker(queue: &str, concurrency: usize) -> WorkerSpec {
    WorkerSpec { queue: queue.into(), concurrency, lock_ms: 30_000, stalled_ms: 30_000, watch: false }
}

fn adding(queue: &str, name: &str, jobs: usize, pace: Pace) -> Command {
    Command::Add { queue: queue.into(), name: name.into(), jobs, pace, block_ms: 0 }
}

/// A count as a figure.
#[allow(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
fn figure(count: usize) -> f64 {
    count as f64
}

/// The value that `share` of the values do not exceed.
fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index, clamped below")]
    let rank = (figure(values.len()) * share).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}

/// Which commands the server ran per job, for people who look for what costs.
fn print_commands(title: &str, breakdown: &[(String, f64, f64)], jobs: f64) {
    eprintln!("-- {title}");
    for (name, calls, us) in breakdown.iter().filter(|(_, calls, _)| calls / jobs > 0.005) {
        eprintln!("{name:>16} {:9.3} calls/job {:8.2} us/job", calls / jobs, us / jobs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert!((percentile(&mut values, 0.5) - 50.0).abs() < f64::EPSILON);
        assert!((percentile(&mut values, 0.99) - 99.0).abs() < f64::EPSILON);
        assert!(percentile(&mut [], 0.5).is_nan());
    }
}
