//! `lariat demo`: the main job on real input. Each file of a folder becomes a job; worker processes hash them; one of them
//! is killed; and in the end it is judged whether all held.
//!
//! [`files`] finds the files, [`digest`] hashes one, [`task`] is what travels in a job. [`stage`] is where the jobs live,
//! [`crew`] the worker processes, [`worker`] the inside of one, [`watch`] what the queue's events tell. [`show`] runs it
//! all, [`course`] the part with the workers, [`view`] is what is seen meanwhile. [`evidence`] gathers what was seen, [`judge`] judges it, [`report`] prints it.

mod course;
mod crew;
mod digest;
mod evidence;
mod files;
mod judge;
mod report;
mod show;
mod stage;
mod task;
mod view;
mod watch;
mod worker;

use std::time::Duration;

pub(crate) use self::worker::{WORKER, work};

use tokio::signal::unix::{Signal, SignalKind, signal};

use self::report::Report;
use self::show::Show;
use self::stage::Stage;
use self::view::View;
use crate::args::{DemoArgs, StoreArgs};
use crate::failure::{Failure, status};
use crate::output;

/// How the workers work.
#[derive(Debug, Clone, Copy)]
struct Terms {
    workers: usize,
    /// Jobs that a worker runs at a time.
    concurrency: usize,
    /// Long jobs for each worker, at most: fewer than it has room for, so that the others get on.
    long_each: usize,
    /// Short, so that a killed worker's jobs are found soon; and renewed early, for machines that have other things to do.
    lock: Duration,
    lock_renew: Duration,
    stalled_interval: Duration,
    /// On a machine that is too slow to renew a lock in time, a job may lose its worker several times.
    max_stalled: u32,
    hold: Duration,
}

impl Terms {
    fn of(args: &DemoArgs) -> Terms {
        Terms {
            workers: args.workers.into(),
            concurrency: 25,
            long_each: 15,
            lock: Duration::from_millis(1_500),
            lock_renew: Duration::from_millis(500),
            stalled_interval: Duration::from_millis(500),
            max_stalled: 100,
            hold: args.hold,
        }
    }
}

pub(super) async fn run(store: &StoreArgs, args: &DemoArgs) -> Result<u8, Failure> {
    // Before signals are listened to: there is nothing to clear away yet, and they may end it at once.
    let files = files::below(&args.dir).map_err(|e| no_folder(args, &e))?;
    let mut ends = Ends::listen().map_err(|e| Failure::failed(format!("cannot listen to signals: {e}")))?;
    let mut view = View::new();
    if files.files.is_empty() {
        let skipped = files.skipped.words();
        let skipped = if skipped.is_empty() { String::new() } else { format!(" (passed over: {skipped})") };
        return Err(Failure::failed(format!("no files below {}{skipped}: nothing to hash", args.dir.display())));
    }
    let stage = Stage::set(store).await?;
    let mut show = Show::new(Terms::of(args), files);
    let ending = tokio::select! {
        played = show.play(&stage, args, &mut view) => played.map(Ending::Played),
        signal = ends.come() => Ok(Ending::Signal(signal)),
    };
    view.end();
    show.end().await;
    let left = tokio::select! {
        left = leave(stage, args.keep) => left,
        // Once more, and it is not waited for any longer.
        signal = ends.come() => std::process::exit((128 + signal).into()),
    };
    ended(ending, left, args)
}

/// How it came to an end.
enum Ending {
    Played(Box<Report>),
    Signal(u8),
}

async fn leave(stage: Stage, keep: bool) -> Result<(), Failure> {
    if keep {
        output::say(&stage.keep());
        return Ok(());
    }
    let left = stage.clear().await;
    left.map_err(|failure| failure.before("what the demo made could not be removed: "))
}

/// The last words, and the exit status.
fn ended(ending: Result<Ending, Failure>, left: Result<(), Failure>, args: &DemoArgs) -> Result<u8, Failure> {
    if let Ok(Ending::Played(report)) = &ending {
        if args.json {
            output::print_json(report)?;
        } else {
            output::print(&report.text())?;
        }
    }
    match (ending, left) {
        (Err(failure), Err(also)) => Err(failure.after(&format!("; {also}"))),
        (Err(failure), Ok(())) | (Ok(_), Err(failure)) => Err(failure),
        (Ok(Ending::Signal(signal)), Ok(())) => Ok(128 + signal),
        (Ok(Ending::Played(report)), Ok(())) => Ok(if report.held { status::DONE } else { status::FAILED }),
    }
}

fn no_folder(args: &DemoArgs, error: &std::io::Error) -> Failure {
    let words = format!("{}: {error}", args.dir.display());
    match error.kind() {
        std::io::ErrorKind::NotFound => Failure::not_found(words),
        std::io::ErrorKind::NotADirectory => Failure::usage(format!("{words}; DIR must be a folder")),
        _ => Failure::failed(words),
    }
}

/// What ends the demo from outside.
struct Ends {
    int: Signal,
    term: Signal,
    hup: Signal,
}

impl Ends {
    fn listen() -> std::io::Result<Ends> {
        Ok(Ends {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// The number of the signal. Cancel safe.
    async fn come(&mut self) -> u8 {
        tokio::select! {
            _ = self.int.recv() => 2,
            _ = self.term.recv() => 15,
            _ = self.hup.recv() => 1,
        }
    }
}
