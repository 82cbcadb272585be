//! The worker processes, as the demo sees them.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use std::os::unix::process::ExitStatusExt;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use super::worker::{CLOSE, Orders, Report, WORKER};
use crate::failure::Failure;
use crate::{itself, output};

/// How long a worker may take to close before it is killed.
const CLOSES_WITHIN: Duration = Duration::from_secs(10);
/// How long one that says nothing any more may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(1);

/// All the workers. When it is dropped they are killed.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) members: Vec<Member>,
    said: mpsc::UnboundedReceiver<(usize, Said)>,
}

/// One worker.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) pid: u32,
    /// What it reported last.
    pub(super) last: Report,
    pub(super) fate: Fate,
    child: Child,
    stdin: Option<ChildStdin>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Working,
    /// Killed on purpose.
    Killed,
    /// It has closed, when told to.
    Closed,
    /// It has ended otherwise.
    Died(String),
}

#[derive(Debug)]
enum Said {
    Report(Report),
    /// It says nothing any more.
    Gone,
}

impl Crew {
    /// Starts so many workers, each with these orders and a name of its own.
    pub(super) async fn start(count: usize, orders: impl Fn(String) -> Orders) -> Result<Crew, Failure> {
        let (tell, said) = mpsc::unbounded_channel();
        let mut members = Vec::with_capacity(count);
        for place in 0..count {
            let name = format!("worker-{}", place + 1);
            let orders = output::json_line(&orders(name.clone()))? + "\n";
            let started = Member::start(name, &orders).await;
            let (member, stdout) = started.map_err(|e| Failure::failed(format!("cannot start a worker: {e}")))?;
            tokio::spawn(hear(place, stdout, tell.clone()));
            members.push(member);
        }
        Ok(Crew { members, said })
    }

    /// Waits until some worker has said something, or has ended. Cancel safe.
    pub(super) async fn news(&mut self) {
        if let Some((place, said)) = self.said.recv().await
            && let Some(member) = self.members.get_mut(place)
        {
            match said {
                Said::Report(report) => member.last = report,
                Said::Gone => member.gone(),
            }
        }
    }

    pub(super) fn are_ready(&self) -> bool {
        self.members.iter().all(|member| member.last.ready)
    }

    pub(super) fn working(&self) -> usize {
        self.members.iter().filter(|member| member.fate == Fate::Working).count()
    }

    /// The working one with the most long jobs in its hands, if any has one.
    pub(super) fn busiest(&self) -> Option<usize> {
        let working = self.members.iter().enumerate().filter(|(_, member)| member.fate == Fate::Working);
        let busiest = working.filter(|(_, member)| member.last.long > 0).max_by_key(|(_, member)| member.last.long);
        busiest.map(|(place, _)| place)
    }

    /// Kills one by KILL, and waits until it is dead.
    pub(super) async fn kill(&mut self, place: usize) {
        if let Some(member) = self.members.get_mut(place) {
            member.fate = Fate::Killed;
            let _ = member.child.kill().await;
        }
    }

    /// Tells those that work to close, and waits until they have; they report a last time.
    pub(super) async fn close(&mut self) {
        for member in &mut self.members {
            if member.fate == Fate::Working
                && let Some(stdin) = &mut member.stdin
            {
                member.fate = Fate::Closed;
                // One that does not hear it has ended, which is found out below.
                let _ = stdin.write_all(CLOSE.as_bytes()).await;
            }
        }
        let all_gone = async {
            while let Some((place, said)) = self.said.recv().await {
                match (said, self.members.get_mut(place)) {
                    (Said::Report(report), Some(member)) => member.last = report,
                    (Said::Gone, Some(member)) => member.ended().await,
                    (_, None) => {}
                }
            }
        };
        if tokio::time::timeout(CLOSES_WITHIN, all_gone).await.is_err() {
            for member in self.members.iter_mut().filter(|member| member.fate == Fate::Closed && member.stdin.is_some())
            {
                member.fate = Fate::Died("did not close when it was told to".to_owned());
            }
        }
        self.end().await;
    }

    /// Kills whatever is left, and waits until all are dead.
    pub(super) async fn end(&mut self) {
        for member in &mut self.members {
            if member.fate == Fate::Died(String::new()) {
                member.fate = Fate::Died(member.last_words().await);
            }
            let _ = member.child.kill().await;
        }
    }
}

impl Member {
    async fn start(name: String, orders: &str) -> std::io::Result<(Member, ChildStdout)> {
        let mut command = Command::from(itself::again(WORKER)?);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let (Some(mut stdin), Some(stdout), Some(pid)) = (child.stdin.take(), child.stdout.take(), child.id()) else {
            return Err(std::io::Error::other("it has no pipes"));
        };
        stdin.write_all(orders.as_bytes()).await?;
        let (last, fate, stdin) = (Report::default(), Fate::Working, Some(stdin));
        Ok((Member { name, pid, last, fate, child, stdin }, stdout))
    }

    /// It has closed its stdout.
    fn gone(&mut self) {
        self.stdin = None;
        if self.fate == Fate::Working {
            let status = self.child.try_wait().ok().flatten();
            self.fate = Fate::Died(status.map(ended).unwrap_or_default());
        }
    }

    /// How it ended, which it may be about to.
    async fn last_words(&mut self) -> String {
        match tokio::time::timeout(ENDS_WITHIN, self.child.wait()).await {
            Ok(status) => status.map_or_else(|e| e.to_string(), ended),
            Err(_) => "fell silent".to_owned(),
        }
    }

    /// It has closed its stdout after it was told to close.
    async fn ended(&mut self) {
        self.stdin = None;
        let status = self.child.wait().await;
        if self.fate == Fate::Closed && !status.as_ref().is_ok_and(ExitStatus::success) {
            self.fate = Fate::Died(status.map_or_else(|e| e.to_string(), ended));
        }
    }
}

fn ended(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("was ended by signal {signal}"),
        None => format!("ended with status {}", status.code().unwrap_or_default()),
    }
}

/// Passes on what a worker says.
async fn hear(place: usize, stdout: ChildStdout, tell: mpsc::UnboundedSender<(usize, Said)>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // A line that was cut off by its end says nothing.
        if let Ok(report) = serde_json::from_str(&line)
            && tell.send((place, Said::Report(report))).is_err()
        {
            return;
        }
    }
    let _ = tell.send((place, Said::Gone));
}
