//! Commands end with their worker, even one that is killed by KILL.
//!
//! A worker keeps one helper process (this same binary) that reads a pipe. It is told of each command; when the pipe
//! closes, for whatever reason, it kills the process groups that are left. The helper is in a group of its own and does
//! not obey TERM or INT, so it outlives whatever is done to the worker.

use std::collections::BTreeMap;
use std::io::{self, PipeWriter, Write};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::process::{Child, Command};

use super::process::Process;
use crate::itself;

mod watcher;

pub(crate) use watcher::help;

/// The argument that makes this binary a helper.
pub(crate) const HELPER: &str = "__reaper";

/// The wait before a helper that ended is replaced.
const REPLACE_AFTER: Duration = Duration::from_millis(200);

/// What the helper is told, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    /// A command is about to be spawned; it will have this token in its environment.
    Spawning { token: String },
    /// It runs, as the leader of its own group.
    Started { token: String, leader: Process },
    /// It has ended, and its group with it.
    Ended { token: String },
}

impl Word {
    fn line(&self) -> String {
        match self {
            Word::Spawning { token } => format!("spawning {token}\n"),
            Word::Started { token, leader } => format!("started {token} {} {}\n", leader.pid, leader.started),
            Word::Ended { token } => format!("ended {token}\n"),
        }
    }

    fn read(line: &str) -> Option<Word> {
        let mut parts = line.split_ascii_whitespace();
        let (verb, token) = (parts.next()?, parts.next()?.to_owned());
        match verb {
            "spawning" => Some(Word::Spawning { token }),
            "started" => {
                let leader = Process { pid: parts.next()?.parse().ok()?, started: parts.next()?.parse().ok()? };
                Some(Word::Started { token, leader })
            }
            "ended" => Some(Word::Ended { token }),
            _ => None,
        }
    }
}

/// The worker's end of the pipe. Clones share one helper.
#[derive(Debug, Clone)]
pub(crate) struct Reaper {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// None while a helper is being replaced.
    pipe: Option<PipeWriter>,
    /// What a new helper has to be told.
    running: BTreeMap<String, Option<Process>>,
}

impl Reaper {
    /// Starts the helper, and a task that replaces it should it end. `lost` is called each time that happens.
    pub(crate) fn start(lost: impl Fn(&str) + Send + 'static) -> io::Result<Reaper> {
        let reaper = Reaper { shared: Arc::default() };
        let first = reaper.spawn_helper()?;
        let keeper = reaper.clone();
        tokio::spawn(async move { keeper.keep(first, lost).await });
        Ok(reaper)
    }

    async fn keep(self, first: Child, lost: impl Fn(&str)) {
        let mut helper = Some(first);
        loop {
            if let Some(mut child) = helper.take() {
                let ended = child.wait().await;
                self.lock().pipe = None;
                lost(&ended.map_or_else(|e| e.to_string(), |status| status.to_string()));
            }
            tokio::time::sleep(REPLACE_AFTER).await;
            match self.spawn_helper() {
                Ok(child) => helper = Some(child),
                Err(e) => lost(&e.to_string()),
            }
        }
    }

    fn spawn_helper(&self) -> io::Result<Child> {
        let (reader, mut pipe) = io::pipe()?;
        let mut command = itself::again(HELPER)?;
        command.current_dir("/").env_clear();
        command.stdin(reader).stdout(Stdio::null()).stderr(Stdio::null());
        let child = Command::from(command).spawn()?;
        let mut shared = self.lock();
        for (token, leader) in &shared.running {
            let token = token.clone();
            let word = match leader {
                Some(leader) => Word::Started { token, leader: *leader },
                None => Word::Spawning { token },
            };
            pipe.write_all(word.line().as_bytes())?;
        }
        shared.pipe = Some(pipe);
        Ok(child)
    }

    /// Announces a command that is about to be spawned with this token in its environment. Dropping the answer says
    /// that it has ended.
    pub(crate) fn announce(&self, token: &str) -> Announced {
        let mut shared = self.lock();
        shared.running.insert(token.to_owned(), None);
        shared.tell(&Word::Spawning { token: token.to_owned() });
        Announced { reaper: self.clone(), token: token.to_owned() }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// A helper that cannot be told has ended: the next one is told everything.
    fn tell(&mut self, word: &Word) {
        if let Some(pipe) = &mut self.pipe
            && pipe.write_all(word.line().as_bytes()).is_err()
        {
            self.pipe = None;
        }
    }
}

/// A command that the helper knows of.
#[derive(Debug)]
pub(crate) struct Announced {
    reaper: Reaper,
    token: String,
}

impl Announced {
    /// What the command has in its environment.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// It runs, and leads a group of its own.
    pub(crate) fn started(&self, leader: Process) {
        let mut shared = self.reaper.lock();
        shared.running.insert(self.token.clone(), Some(leader));
        shared.tell(&Word::Started { token: self.token.clone(), leader });
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        let mut shared = self.reaper.lock();
        shared.running.remove(&self.token);
        shared.tell(&Word::Ended { token: std::mem::take(&mut self.token) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood_as_they_were_meant() {
        let token = "0f-1:7".to_owned();
        for word in [
            Word::Spawning { token: token.clone() },
            Word::Started { token: token.clone(), leader: Process { pid: 41, started: 99 } },
            Word::Ended { token },
        ] {
            assert_eq!(Word::read(word.line().trim_end()), Some(word));
        }
        for odd in ["", "spawning", "started x", "started x 1", "started x y 1", "hello x"] {
            assert_eq!(Word::read(odd), None, "{odd:?}");
        }
    }
}
