//! A test of this program that runs as a process of its own, so that it can be killed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

const FILE: &str = "LARIAT_TEST_CHILD_FILE";

/// Killed when it is dropped.
pub(crate) struct Child {
    process: std::process::Child,
    orders: ChildStdin,
    words: BufReader<ChildStdout>,
}

impl Child {
    /// Runs the ignored test of this name on a file.
    pub(crate) fn start(test: &str, file: &Path) -> Child {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(FILE, file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = process.stdin.take().unwrap();
        let words = BufReader::new(process.stdout.take().unwrap());
        Child { process, orders, words }
    }

    /// In the child: the file. None where it was not started by [`start`](Self::start).
    pub(crate) fn path() -> Option<PathBuf> {
        std::env::var_os(FILE).map(PathBuf::from)
    }

    /// What follows these words on a line; waits for it.
    pub(crate) fn says(&mut self, words: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.words.read_line(&mut line).unwrap(), 0, "the child ended without saying {words:?}");
            if let Some(rest) = line.trim_end().strip_prefix(words) {
                return rest.to_owned();
            }
        }
    }

    /// A line for its stdin.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.orders, "{line}").unwrap();
    }

    /// By KILL: it has no say in it.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
