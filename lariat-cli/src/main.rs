//! The `lariat` command: adds jobs, runs any program as a handler, looks into queues.
//!
//! `main` maps a result to an exit status and does nothing else. `args` says what may be typed, `store` opens what was
//! named, `itself` runs this binary again, `output` how things are printed, `cmd` holds a file for each verb, `work` what it takes to run other people's
//! programs.

mod args;
mod cmd;
mod failure;
mod itself;
mod opts;
mod output;
mod store;
mod table;
mod work;

use std::process::ExitCode;

use clap::Parser;

use crate::failure::Failure;

fn main() -> ExitCode {
    // Before anything else: processes that we start ourselves must not read the environment's options.
    match std::env::args_os().nth(1) {
        Some(purpose) if purpose == work::reaper::HELPER => return work::reaper::help(),
        Some(purpose) if purpose == cmd::demo::WORKER => return cmd::demo::work(),
        _ => {}
    }
    let cli = args::Cli::parse();
    match run(cli) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            output::say(&failure.to_string());
            ExitCode::from(failure.status())
        }
    }
}

fn run(cli: args::Cli) -> Result<u8, Failure> {
    // Only a worker has enough to do for more than one thread. On one thread tasks run in the order in which they were
    // spawned, on which `add --stdin` counts.
    let mut builder = match cli.verb {
        args::Verb::Work(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build().map_err(|e| Failure::failed(format!("cannot start: {e}")))?;
    let status = runtime.block_on(cmd::run(cli));
    // A read of stdin may still be blocking a thread; nothing that matters runs any more.
    runtime.shutdown_background();
    status
}
