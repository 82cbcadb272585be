//! A running command: a process that leads a group of its own. When the value is dropped the group is killed.

use std::io;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::reaper::Announced;

/// A command and its process group.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    leader: Pid,
    /// Readable once the leader has ended; None where the system has no such thing.
    end: Option<end::End>,
    /// The leader's number is ours to use until it has been waited for.
    reaped: bool,
    _announced: Announced,
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
        let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let leader = leader.ok_or_else(|| io::Error::other("the command has no process id"))?;
        announced.started(leader);
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let group = Group { child, leader, end: end::End::of(leader), reaped: false, _announced: announced };
        match pipes {
            (Some(stdin), Some(stdout), Some(stderr)) => Ok((group, Pipes { stdin, stdout, stderr })),
            _ => Err(io::Error::other("the command's pipes are missing")),
        }
    }

    /// Asks the group to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends the group.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if !self.reaped {
            // The group may have ended by itself.
            let _ = kill_process_group(self.leader, signal);
        }
    }

    /// Waits until the command has ended, and kills what it left running in its group. May be dropped and called again.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        if let Some(end) = &self.end {
            // Seen, but not yet waited for: until then the group's number cannot become another's.
            if end.come().await.is_ok() {
                self.kill();
            }
        }
        let status = self.child.wait().await?;
        if self.end.is_none() && !self.reaped {
            self.kill();
        }
        self.reaped = true;
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
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
