//! How far it is, on a terminal.

use std::fs::File;
use std::io::{IsTerminal, Seek};
use std::os::fd::AsFd;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar where the input is a file, whose length is known; else a count. Nothing where stderr is no terminal.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    begun: Instant,
}

impl Progress {
    pub(super) fn new() -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| match length() {
            Some(bytes) => styled(ProgressBar::new(bytes), "{bar:30} {percent:>3}%  {msg}"),
            None => styled(ProgressBar::new_spinner(), "{spinner} {msg}"),
        });
        Progress { bar, begun: Instant::now() }
    }

    /// So many jobs are added, with which so much of the input, in bytes, is done.
    pub(super) fn added(&self, jobs: usize, upto: u64) {
        if let Some(bar) = &self.bar {
            let per_second = jobs as u128 * 1000 / self.begun.elapsed().as_millis().max(1);
            bar.set_message(format!("{jobs} jobs added, {per_second}/s"));
            bar.set_position(upto);
        }
    }

    /// Prints where the bar is out of the way: both may stand on the same terminal.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// How much of stdin is left to read, where it is a file.
fn length() -> Option<u64> {
    let mut file = File::from(std::io::stdin().as_fd().try_clone_to_owned().ok()?);
    let whole = file.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
    whole.checked_sub(file.stream_position().ok()?)
}
