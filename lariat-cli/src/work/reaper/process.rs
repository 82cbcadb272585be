//! What can be known of a process that is not our child, and how it is killed. Where there is no `/proc`, less is known.

use std::fs;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::Leader;

/// When a process started, in clock ticks since the machine did.
pub(super) fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    started_in(&stat)
}

/// The second field is the program's name in parentheses, which may hold anything; the count starts behind it.
fn started_in(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Kills a process group, unless its number now belongs to a process that started at another time. (A group's number is
/// not given out again while the group has members, so such a process means that the old group is gone.)
pub(super) fn kill_group_of(leader: Leader) {
    let now = started(leader.pid);
    if leader.started != 0 && now.is_some_and(|now| now != leader.started) {
        return;
    }
    if let Some(pid) = Pid::from_raw(leader.pid) {
        // It may have ended meanwhile.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// Kills the processes whose environment has this token.
pub(super) fn kill_all_with(token: &str) {
    let wanted = format!("LARIAT_TOKEN={token}");
    let Ok(processes) = fs::read_dir("/proc") else { return };
    for entry in processes.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    fn sleeper(token: &str) -> Child {
        Command::new("sleep").arg("600").process_group(0).env("LARIAT_TOKEN", token).spawn().unwrap()
    }

    fn leader(child: &Child) -> Leader {
        let pid = i32::try_from(child.id()).unwrap();
        Leader { pid, started: started(pid).unwrap() }
    }

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) 1 2 (b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1000 1";
        assert_eq!(started_in(stat), Some(4711));
        assert_eq!(started_in("7"), None);
    }

    #[test]
    fn only_the_very_process_is_killed() {
        let mut child = sleeper("only");
        let real = leader(&child);
        kill_group_of(Leader { started: real.started + 1, ..real });
        assert!(child.try_wait().unwrap().is_none(), "a stranger was killed");
        kill_group_of(real);
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn a_token_in_the_environment_is_enough() {
        let token = format!("token-{}", std::process::id());
        let (mut ours, mut other) = (sleeper(&token), sleeper(&(token.clone() + "1")));
        kill_all_with(&token);
        assert!(!ours.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
