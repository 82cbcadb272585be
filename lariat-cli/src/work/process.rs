//! What can be known of processes that are not our children, and how they are signalled. What `/proc` cannot tell,
//! because there is none, is not known.

use std::collections::HashSet;
use std::fs;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The variable by which the processes of one run are found; set for each command.
const TOKEN: &[u8] = b"LARIAT_TOKEN=";

/// A process, told apart from a later one that gets the same number by when it started (0: not known).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) started: u64,
}

impl Process {
    /// The process that has this number now.
    pub(crate) fn of(pid: Pid) -> Process {
        let pid = pid.as_raw_nonzero().get();
        Process { pid, started: look(pid).map_or(0, |stat| stat.started) }
    }

    /// Whether it still runs; one that only waits to be waited for does not.
    pub(crate) fn runs(self) -> bool {
        look(self.pid).is_some_and(|stat| stat.started == self.started && !stat.ended)
    }

    /// Signals it, if it still is the same.
    pub(crate) fn signal(self, signal: Signal) {
        if self.runs()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            // It may have ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    }

    /// Signals the group that it leads, or led, unless its number now belongs to a process that started at another
    /// time. (A group's number is not given out again while the group has members, so such a process means that the old
    /// group is gone.)
    pub(crate) fn signal_group(self, signal: Signal) {
        if let Some(leader) = self.group() {
            // It may have ended meanwhile.
            let _ = kill_process_group(leader, signal);
        }
    }

    /// Whether the group that it led still has members. While it has not been waited for, it is one itself.
    pub(crate) fn group_lives(self) -> bool {
        self.group().is_some_and(|leader| rustix::process::test_kill_process_group(leader).is_ok())
    }

    /// Whether it is a member of the group that the other leads, or led.
    pub(crate) fn is_in_group_of(self, leader: Process) -> bool {
        look(self.pid).is_some_and(|stat| stat.group == leader.pid)
    }

    fn group(self) -> Option<Pid> {
        let is_anothers = self.started != 0 && look(self.pid).is_some_and(|stat| stat.started != self.started);
        if is_anothers { None } else { Pid::from_raw(self.pid) }
    }
}

/// What `/proc` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    ended: bool,
    group: i32,
    /// In clock ticks since the machine started.
    started: u64,
}

fn look(pid: i32) -> Option<Stat> {
    read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The second field is the program's name in parentheses, which may hold anything; the count starts behind it.
fn read(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X");
    let group = fields.nth(1)?.parse().ok()?;
    Some(Stat { ended, group, started: fields.nth(16)?.parse().ok()? })
}

/// The processes that have one of these tokens in their environment, each with its token: those that a command has
/// started, in whatever group they are now.
pub(crate) fn with_tokens(tokens: &HashSet<String>) -> Vec<(String, Process)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Some(started) = look(pid).filter(|stat| !stat.ended).map(|stat| stat.started) else { continue };
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let token = environment
            .split(|byte| *byte == 0)
            .find_map(|variable| std::str::from_utf8(variable.strip_prefix(TOKEN)?).ok())
            .filter(|token| tokens.contains(*token));
        if let Some(token) = token {
            found.push((token.to_owned(), Process { pid, started }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    fn sleeper(token: &str) -> (Child, Process) {
        let child = Command::new("sleep").arg("600").process_group(0).env("LARIAT_TOKEN", token).spawn().unwrap();
        let process = Process::of(Pid::from_raw(child.id().cast_signed()).unwrap());
        (child, process)
    }

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) 1 2 (b) S 1 6 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1000 1";
        assert_eq!(read(stat), Some(Stat { ended: false, group: 6, started: 4711 }));
        assert!(read(&stat.replace(") S", ") Z")).unwrap().ended);
        assert_eq!(read("7"), None);
    }

    #[test]
    fn only_the_very_process_is_signalled() {
        let (mut child, real) = sleeper("only");
        let stranger = Process { started: real.started + 1, ..real };
        stranger.signal_group(Signal::KILL);
        stranger.signal(Signal::KILL);
        assert!(child.try_wait().unwrap().is_none(), "a stranger was killed");
        assert!(
            real.is_in_group_of(real)
                && real.runs()
                && real.group_lives()
                && !stranger.runs()
                && !stranger.group_lives()
        );
        real.signal_group(Signal::KILL);
        assert!(!child.wait().unwrap().success());
        assert!(!real.runs() && !real.group_lives());
    }

    #[test]
    fn processes_are_found_by_their_token() {
        let token = format!("token-{}", std::process::id());
        let (mut child, process) = sleeper(&token);
        let (mut other, _) = sleeper(&(token.clone() + "1"));
        assert_eq!(with_tokens(&HashSet::from([token.clone()])), [(token.clone(), process)]);
        for child in [&mut child, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(with_tokens(&HashSet::from([token])).is_empty());
    }
}
