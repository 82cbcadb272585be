//! `lariat work`: any program as a handler.
//!
//! [`command`] runs the program for one job ([`group`]: its processes, [`pipes`]: its three pipes, [`environment`],
//! [`joblog`], [`verdict`]: what its end means). [`crew`] is the workers, [`gate`] whether they take jobs, [`signals`]
//! and [`report`] what the outside says and hears, [`reaper`] the helper that ends commands whose worker is gone,
//! [`process`] and [`strays`] what is known of processes that are not our children.

mod command;
mod crew;
mod environment;
mod gate;
mod group;
mod joblog;
mod pipes;
mod process;
pub(crate) mod reaper;
mod report;
mod shift;
mod signals;
mod strays;
mod trouble;
mod verdict;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Access, access};
use rustix::process::{Resource, getrlimit, setrlimit};

use self::command::Runner;
use self::crew::{Crew, margin};
use self::gate::Gate;
use self::reaper::Reaper;
use self::report::Report;
use self::shift::Shift;
use self::signals::Signals;
use self::strays::Strays;
use crate::args::{StoreArgs, WorkArgs};
use crate::failure::Failure;
use crate::store;

/// Works until told to stop; the answer is the exit status.
pub(crate) async fn run(store_args: &StoreArgs, args: WorkArgs) -> Result<u8, Failure> {
    let store = store::open(store_args)?;
    check(&args)?;
    let signals = Signals::listen().map_err(|e| Failure::failed(format!("cannot listen to signals: {e}")))?;
    let report = Arc::new(Report::start(args.log_format)?);
    allow_files(args.concurrency, args.queues.len());
    let heard = Arc::clone(&report);
    let reaper = Reaper::start(move |how| {
        heard.trouble("helper", |unsaid| {
            tracing::warn!(target: "work", how, unsaid, "the helper that ends orphaned commands ended; starting another");
        });
    });
    let reaper =
        reaper.map_err(|e| Failure::failed(format!("cannot start the helper that ends orphaned commands: {e}")))?;
    let gate = Arc::new(Gate::default());
    let runner = Arc::new(Runner {
        command: args.command.clone(),
        store: store::url(store_args).to_owned(),
        prefix: store_args.prefix.clone(),
        margin: margin(args.lock_duration),
        reaper,
        strays: Strays::start(),
        gate: Arc::clone(&gate),
        report: Arc::clone(&report),
    });
    let (crew, said) = Crew::start(&store, &args, &runner)?;
    gate.stand_before(crew.workers());
    let (queues, command) = (args.queues.join(" "), args.command.join(OsStr::new(" ")));
    let (concurrency, command) = (args.concurrency, command.to_string_lossy().into_owned());
    tracing::info!(target: "work", queues, concurrency, %store, command, "working");
    Shift::new(crew, gate, report).run(store, args, signals, said).await
}

/// What can be known to be wrong before anything is started.
fn check(args: &WorkArgs) -> Result<(), Failure> {
    let program = args.command.first().map(OsStr::new).unwrap_or_default();
    if !can_be_run(program) {
        let shown = program.to_string_lossy();
        return Err(Failure::usage(format!(
            "CMD {shown:?} must be a program that can be run: no executable file of that name is found"
        )));
    }
    let longest = args.lock_duration.saturating_sub(margin(args.lock_duration));
    if let Some(renew) = args.lock_renew.filter(|renew| *renew >= longest) {
        let (renew, longest) = (humantime::format_duration(renew), humantime::format_duration(longest));
        return Err(Failure::usage(format!(
            "--lock-renew {renew} must be less than {longest}, for which a lock of that duration is trusted"
        )));
    }
    Ok(())
}

/// Whether a program of this name is found the way it will be when it is run.
fn can_be_run(program: &OsStr) -> bool {
    let runs = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    if program.as_bytes().contains(&b'/') {
        return runs(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    !program.is_empty() && std::env::split_paths(&path).any(|folder| runs(&folder.join(program)))
}

/// Each running command takes a few open files; a limit set for interactive programs is raised as far as it may be.
/// Where that is not enough, commands that cannot be spawned are put back.
fn allow_files(concurrency: u32, queues: usize) {
    const FOR_EACH: u64 = 6;
    const FOR_THE_REST: u64 = 256;
    let wanted = FOR_THE_REST.saturating_add(u64::from(concurrency).saturating_mul(queues as u64 * FOR_EACH));
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(limit.maximum.map_or(wanted, |maximum| wanted.min(maximum)));
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_as_it_would_be_run() {
        assert!(can_be_run(OsStr::new("sh")));
        assert!(can_be_run(OsStr::new("/bin/sh")));
        for bad in ["", "no-such-program", "/bin", "/etc/passwd", "./no-such-program"] {
            assert!(!can_be_run(OsStr::new(bad)), "{bad:?}");
        }
    }
}
