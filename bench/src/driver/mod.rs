//! The driver processes: each runs one library and does what the bench tells it over standard input.
//!
//! A process of its own per driver, so that the kernel's account of CPU and context switches is the driver's alone.

mod handlers;
mod lariat;
mod official;
mod serve;

use crate::Result;

/// Runs the driver process for `library` until standard input ends.
pub(crate) fn run(library: &str, address: &str, threads: usize) -> Result<()> {
    match library {
        "lariat" => serve::serve::<lariat::Lariat>(address, threads),
        "official" => serve::serve::<official::Official>(address, threads),
        other => Err(format!("no driver `{other}` in this binary").into()),
    }
}
