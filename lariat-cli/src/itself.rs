//! This binary, run again for another purpose.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command that runs this binary with this as its only argument, in a process group of its own: signals of the
/// terminal do not reach it.
pub(crate) fn again(purpose: &str) -> io::Result<Command> {
    let mut command = Command::new(binary()?);
    command.arg0("lariat").arg(purpose).process_group(0);
    Ok(command)
}

/// Also after its file has been replaced by a newer one.
fn binary() -> io::Result<PathBuf> {
    let itself = Path::new("/proc/self/exe");
    if itself.exists() { Ok(itself.into()) } else { std::env::current_exe() }
}
