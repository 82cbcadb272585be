//! Lua scripts: composed from files, sent by their SHA-1.
//!
//! A script is one file of [`lua`](super::lua) and the steps that it includes. Every call is an EVALSHA. A server that
//! does not know the script (a new one, after a failover, or after SCRIPT FLUSH) has not run anything, so the call is
//! sent again as EVAL, which loads and runs in one step: no flush can come between.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::time::Instant;

use super::connect::Link;
use super::lua;
use crate::error::{Error, ErrorKind};

/// A composed script.
pub(super) struct Script {
    source: String,
    sha: String,
}

/// All scripts, composed when the first is asked for.
static SCRIPTS: LazyLock<HashMap<&'static str, Result<Script, String>>> = LazyLock::new(|| {
    lua::SCRIPTS.iter().map(|(name, source)| (*name, compose(source, lua::STEPS).map(Script::new))).collect()
});

impl Script {
    /// The script in `lua/<name>.lua`. Fails only for a name that is not in the table or a file that does not compose;
    /// a unit test goes through all of them.
    pub(super) fn named(name: &str) -> Result<&'static Script, Error> {
        match SCRIPTS.get(name) {
            Some(Ok(script)) => Ok(script),
            Some(Err(why)) => Err(Error::new(ErrorKind::Unsupported, format!("script {name}: {why}"))),
            None => Err(Error::new(ErrorKind::Unsupported, format!("script {name}: there is none"))),
        }
    }

    fn new(source: String) -> Script {
        // The client's own script type is used for its SHA-1 only: it would load and repeat without a deadline.
        Script { sha: redis::Script::new(&source).get_hash().to_owned(), source }
    }

    /// Runs it, and repeats it as EVAL where the server does not know it. All within `deadline`.
    ///
    /// An error reply, also one inside an array or map of the answer, is an [`Error`]; see [`Link::call`] for the kinds.
    /// Cancel safety: as [`Link::call`]; a dropped call may still run, at most once.
    pub(super) async fn run<K, A>(
        &self,
        link: &Link,
        keys: &[K],
        args: &[A],
        deadline: Duration,
    ) -> Result<Value, Error>
    where
        K: AsRef<[u8]>,
        A: AsRef<[u8]>,
    {
        let until = Instant::now() + deadline;
        match link.ask(&command("EVALSHA", &self.sha, keys, args), until).await? {
            Err(reply) if reply.code() == "NOSCRIPT" => {
                link.call_until(&command("EVAL", &self.source, keys, args), until).await
            }
            Err(reply) => Err(link.judge(&reply)),
            Ok(value) => Ok(value),
        }
    }
}

fn command<K: AsRef<[u8]>, A: AsRef<[u8]>>(verb: &str, script: &str, keys: &[K], args: &[A]) -> Cmd {
    let bytes = keys.iter().map(|key| key.as_ref().len()).sum::<usize>()
        + args.iter().map(|arg| arg.as_ref().len()).sum::<usize>();
    let mut command = Cmd::with_capacity(3 + keys.len() + args.len(), verb.len() + script.len() + bytes + 8);
    command.arg(verb).arg(script).arg(keys.len());
    for key in keys {
        command.arg(key.as_ref());
    }
    for arg in args {
        command.arg(arg.as_ref());
    }
    command
}

/// Puts the steps that `source` includes (`--- @include name`, a line of its own) before it: dependencies first, each
/// once. Errors: a step that is not in `steps`, and steps that include each other in a circle.
fn compose(source: &str, steps: &[(&str, &str)]) -> Result<String, String> {
    let mut composed = String::new();
    let mut done = Vec::new();
    let mut open = Vec::new();
    for name in includes(source) {
        include(name, steps, &mut open, &mut done, &mut composed)?;
    }
    composed.push_str(source);
    Ok(composed)
}

fn include<'a>(
    name: &'a str,
    steps: &[(&'a str, &'a str)],
    open: &mut Vec<&'a str>,
    done: &mut Vec<&'a str>,
    composed: &mut String,
) -> Result<(), String> {
    if done.contains(&name) {
        return Ok(());
    }
    if open.contains(&name) {
        return Err(format!("the step {name} includes itself, by way of {}", open.join(", ")));
    }
    let step = steps.iter().find(|(known, _)| *known == name);
    let (_, source) = step.ok_or_else(|| format!("there is no step {name}"))?;
    open.push(name);
    for below in includes(source) {
        include(below, steps, open, done, composed)?;
    }
    open.pop();
    done.push(name);
    let _ = writeln!(composed, "{}", source.trim_end());
    Ok(())
}

fn includes(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| line.trim().strip_prefix("--- @include ")).map(str::trim)
}
