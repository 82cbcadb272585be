//! Our driver and the peers', side by side in one run: see `README.md`.

mod args;
mod case;
mod driver;
mod floor;
mod meter;
mod peer;
mod protocol;
mod report;
mod rounds;
mod server;

use std::process::ExitCode;

use clap::Parser;
use serde_json::json;

use args::{Cli, What};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lariat-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let common = &cli.common;
    if let What::Driver { library, address } = &cli.what {
        return driver::run(library, address, common.threads);
    }
    let before = load();
    println!("load of the machine before: {before}");
    let mut tables = Vec::new();
    for case in cli.what.cases() {
        let table = rounds::run(case.as_ref(), &common.who(case.as_ref()), common.rounds, common.setup())?;
        print!("{}", report::text(&table));
        tables.push(report::json(&table));
    }
    let after = load();
    println!("\nload of the machine after: {after}");
    if let Some(file) = &common.json {
        let all = json!({ "load_before": before, "load_after": after, "rounds": common.rounds, "cases": tables });
        std::fs::write(file, serde_json::to_vec_pretty(&all)?)?;
    }
    Ok(())
}

/// The kernel's load averages: figures from a busy machine are worth less.
fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").map_or_else(|_| "unknown".into(), |text| text.trim().to_owned())
}
