//! A running command: a process that leads a group of its own. When the value is dropped the group is killed.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout_at};

use super::process::Process;
use super::reaper::Announced;
use super::strays::Strays;

/// How often it is looked whether what was told to end has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long after KILL they may take, on a machine that has other things to do.
const GONE_WITHIN: Duration = Duration::from_millis(500);

/// A command and its process group.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    leader: Process,
    /// Readable once the leader has ended; None where the system has no such thing.
    end: Option<end::End>,
    /// Nothing of the group is left, or nothing that is ours to signal.
    over: bool,
    announced: Announced,
}

/// The ends of a command's pipes that are ours.
pub(crate) struct Pipes {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
}

impl Group {
    /// Spawns a command whose three pipes are piped, and tells the helper.
    pub(crate) fn spawn(command: &mut Command, announced: Announced) -> io::Result<(Group, Pipes)> {
        let mut child = command.process_group(0).spawn()?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = pid.ok_or_else(|| io::Error::other("the command has no process id"))?;
        let leader = Process::of(pid);
        announced.started(leader);
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let group = Group { child, leader, end: end::End::of(pid), over: false, announced };
        match pipes {
            (Some(stdin), Some(stdout), Some(stderr)) => Ok((group, Pipes { stdin, stdout, stderr })),
            _ => Err(io::Error::other("the command's pipes are missing")),
        }
    }

    /// Waits until the command has ended by itself, and kills what it left running in its group. May be dropped and
    /// called again.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        if let Some(end) = &self.end
            && end.come().await.is_ok()
        {
            // Seen, but not yet waited for: until then the group's number cannot become another's.
            self.leader.signal_group(Signal::KILL);
        }
        let status = self.child.wait().await?;
        if self.end.is_none() && !self.over {
            self.leader.signal_group(Signal::KILL);
        }
        self.over = true;
        Ok(status)
    }

    /// Ends the command and what it has started: TERM, and KILL for what is left when `patience` is over; at once KILL
    /// where there is no patience. What left the group is found by its environment and ended as well.
    pub(crate) async fn stop(&mut self, patience: Duration, strays: &Strays) {
        let by = Instant::now() + patience;
        if !patience.is_zero() {
            self.leader.signal_group(Signal::TERM);
        }
        let mut outside = strays.with(self.announced.token()).await;
        outside.retain(|process| !process.is_in_group_of(self.leader));
        if !patience.is_zero() {
            for process in &outside {
                process.signal(Signal::TERM);
            }
            let _ = timeout_at(by, self.child.wait()).await;
            self.gone(&outside, by).await;
        }
        self.leader.signal_group(Signal::KILL);
        if outside.iter().any(|process| process.runs()) {
            // They may have started others since.
            outside.extend(strays.with(self.announced.token()).await);
            for process in &outside {
                process.signal(Signal::KILL);
            }
        }
        let _ = self.child.wait().await;
        // Killed is not gone: what they hold is free only then, and only then another may run the job.
        self.gone(&outside, Instant::now() + GONE_WITHIN).await;
        self.over = true;
    }

    /// Waits until nothing is left of the group and of the others.
    async fn gone(&self, others: &[Process], by: Instant) {
        let left = || self.leader.group_lives() || others.iter().any(|process| process.runs());
        while Instant::now() < by && left() {
            sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.over {
            self.leader.signal_group(Signal::KILL);
        }
    }
}

#[cfg(target_os = "linux")]
mod end {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    #[derive(Debug)]
    pub(super) struct End(AsyncFd<OwnedFd>);

    impl End {
        #[expect(deprecated, reason = "unsound only for handles that may be closed behind its back; this one is owned")]
        pub(super) fn of(leader: Pid) -> Option<End> {
            let handle = pidfd_open(leader, PidfdFlags::NONBLOCK).ok()?;
            AsyncFd::with_interest(handle, Interest::READABLE).ok().map(End)
        }

        pub(super) async fn come(&self) -> io::Result<()> {
            self.0.readable().await.map(|mut ready| ready.retain_ready())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod end {
    use std::io;

    use rustix::process::Pid;

    #[derive(Debug)]
    pub(super) enum End {}

    impl End {
        pub(super) fn of(_leader: Pid) -> Option<End> {
            None
        }

        pub(super) async fn come(&self) -> io::Result<()> {
            match *self {}
        }
    }
}
