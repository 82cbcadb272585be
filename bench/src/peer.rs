//! A driver process, as the bench sees it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command as Process, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::Result;
use crate::protocol::{Answer, Command, Seen, Usage, WorkerSpec};

/// More than any command needs, on a machine that is not stuck.
const PATIENCE: Duration = Duration::from_secs(300);

/// The libraries that can be measured, in the order in which the tables show them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Library {
    /// This project's library.
    Lariat,
    /// The crate `bullmq-official`.
    Official,
    /// The npm package `bullmq`.
    Node,
    /// The crate `apalis-sqlite`, set as the others are.
    Apalis,
    /// The same as it comes.
    ApalisDefaults,
    /// Plain rusqlite, no queue.
    Floor,
}

impl Library {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lariat => "lariat",
            Self::Official => "official",
            Self::Node => "node",
            Self::Apalis => "apalis",
            Self::ApalisDefaults => "apalis-defaults",
            Self::Floor => "floor",
        }
    }
}

/// A driver process. Dropping it kills it: jobs that are held never end by themselves.
pub(crate) struct Peer {
    library: Library,
    process: Child,
    to: ChildStdin,
    from: Receiver<String>,
}

impl Peer {
    /// Starts the driver of `library` for the store at `address`.
    pub(crate) fn start(library: Library, address: &str, threads: usize) -> Result<Self> {
        let mut process = match library {
            Library::Node => {
                let mut node = Process::new("node");
                let port = address.rsplit(':').next().unwrap_or_default();
                node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/node/driver.mjs")).arg(port);
                node
            }
            Library::Lariat | Library::Official => {
                let mut own = Process::new(std::env::current_exe()?);
                own.args(["driver", library.name(), address, "--threads", &threads.to_string()]);
                own
            }
            Library::Apalis | Library::ApalisDefaults => {
                let path = concat!(env!("CARGO_MANIFEST_DIR"), "/apalis/target/release/lariat-bench-apalis");
                let mut other = Process::new(path);
                let asked = if library == Library::ApalisDefaults { "&defaults" } else { "" };
                other.args([format!("{address}{asked}"), threads.to_string()]);
                other
            }
            Library::Floor => return Err("the floor has no driver process".into()),
        };
        let mut process = process
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the driver of {} does not start, see README.md: {error}", library.name()))?;
        let to = process.stdin.take().ok_or("the driver has no standard input")?;
        let out = process.stdout.take().ok_or("the driver has no standard output")?;
        let (lines, from) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(std::result::Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { library, process, to, from })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends a command without waiting for its answer.
    pub(crate) fn tell(&mut self, command: &Command) -> Result<()> {
        let mut line = serde_json::to_vec(command)?;
        line.push(b'\n');
        self.to.write_all(&line)?;
        Ok(self.to.flush()?)
    }

    /// The answer to the oldest command not yet answered.
    pub(crate) fn answer(&mut self, patience: Duration) -> Result<Answer> {
        let line = self.from.recv_timeout(patience).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("{} has not answered for {patience:?}", self.library.name()),
            RecvTimeoutError::Disconnected => format!("{} ended early", self.library.name()),
        })?;
        match serde_json::from_str(&line)? {
            Answer::Error { why } => Err(format!("{}: {why}", self.library.name()).into()),
            answer => Ok(answer),
        }
    }

    /// Sends a command and waits for its answer.
    pub(crate) fn ask(&mut self, command: &Command) -> Result<Answer> {
        self.tell(command)?;
        self.answer(PATIENCE)
    }

    pub(crate) fn work(&mut self, spec: WorkerSpec) -> Result<()> {
        self.ask(&Command::Work(spec)).map(drop)
    }

    pub(crate) fn usage(&mut self) -> Result<Usage> {
        match self.ask(&Command::Usage)? {
            Answer::Usage(usage) => Ok(usage),
            other => Err(format!("unexpected answer {other:?}").into()),
        }
    }

    pub(crate) fn seen(&mut self) -> Result<Seen> {
        match self.ask(&Command::Seen)? {
            Answer::Seen(seen) => Ok(seen),
            other => Err(format!("unexpected answer {other:?}").into()),
        }
    }

    /// Adds jobs and answers how long that took.
    pub(crate) fn add(&mut self, add: &Command) -> Result<Duration> {
        match self.ask(add)? {
            Answer::Added { elapsed_us } => Ok(Duration::from_micros(elapsed_us)),
            other => Err(format!("unexpected answer {other:?}").into()),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Already gone is as good as ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
