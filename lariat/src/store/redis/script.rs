//! Lua scripts: composed from files, sent by their SHA-1.
//!
//! A script is one file of [`lua`](super::lua) and the steps that it includes. Every call is an EVALSHA. A server that
//! does not know the script (a new one, after a failover, or after SCRIPT FLUSH) has not run anything, so the call is
//! sent again as EVAL, which loads and runs in one step: no flush can come between.

use std::collections::HashMap;
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

    pub(super) fn new(source: String) -> Script {
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

/// Puts the steps that `source` includes (`--- @include name`, a line of its own) where they are included: dependencies
/// first, each once. A step that is included inside a function is seen, and made anew, only there: a script makes all its
/// functions at every call, so what is seldom needed is better made when it is. Errors: a step that is not in `steps`, steps that include each other in a circle, an include that is misspelt.
fn compose<'a>(source: &'a str, steps: &'a [(&'a str, &'a str)]) -> Result<String, String> {
    let mut composition = Composition { steps, open: Vec::new(), done: Vec::new(), source: String::new() };
    composition.add(source)?;
    Ok(composition.source)
}

struct Composition<'a> {
    steps: &'a [(&'a str, &'a str)],
    /// Steps whose own includes are being put in.
    open: Vec<&'a str>,
    done: Vec<&'a str>,
    source: String,
}

impl<'a> Composition<'a> {
    fn add(&mut self, source: &'a str) -> Result<(), String> {
        for line in source.lines() {
            if line.contains("@include") {
                let name = line.trim().strip_prefix("--- @include ");
                self.include(name.ok_or_else(|| format!("not an include, for lack of three dashes: {line}"))?.trim())?;
            } else {
                self.source.push_str(line);
                self.source.push('\n');
            }
        }
        Ok(())
    }

    fn include(&mut self, name: &'a str) -> Result<(), String> {
        if self.done.contains(&name) {
            return Ok(());
        }
        if self.open.contains(&name) {
            return Err(format!("the step {name} includes itself, by way of {}", self.open.join(", ")));
        }
        let step = self.steps.iter().find(|(known, _)| *known == name);
        let (_, source) = step.ok_or_else(|| format!("there is no step {name}"))?;
        self.open.push(name);
        self.add(source)?;
        self.open.pop();
        self.done.push(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use interop::redis::RedisServer;

    use super::*;
    use crate::store::redis::connect::Purpose;
    use crate::store::url;

    /// Longer than any healthy call takes on a slow machine.
    const LONG: Duration = Duration::from_secs(30);

    fn link(server: &RedisServer) -> Link {
        Link::new(url::redis_address(&server.url()).unwrap(), Purpose::Commands, None)
    }

    const NOTHING: [&str; 0] = [];

    const STEPS: &[(&str, &str)] = &[
        ("top", "--- @include left\n--- @include right\ntop()\n"),
        ("left", "--- @include base\nleft()\n"),
        ("right", "  --- @include base  \nright()\n"),
        ("base", "base()"),
        ("egg", "--- @include hen\n"),
        ("hen", "--- @include egg\n"),
        ("lost", "--- @include nowhere\n"),
        ("typo", "-- @include base\n"),
    ];

    fn code(source: &str) -> Vec<&str> {
        source.lines().filter(|line| !line.contains("---")).collect()
    }

    #[test]
    fn every_script_composes() {
        for (name, _) in lua::SCRIPTS {
            let script = Script::named(name).unwrap();
            assert_eq!(script.sha.len(), 40);
        }
        let twice =
            lua::SCRIPTS.iter().chain(lua::STEPS).map(|(name, _)| name).collect::<std::collections::HashSet<_>>();
        assert_eq!(twice.len(), lua::SCRIPTS.len() + lua::STEPS.len(), "two files of one name");
    }

    #[test]
    fn steps_come_before_what_needs_them_and_once() {
        let composed = compose("--- @include top\n--- @include base\nmain()\n", STEPS).unwrap();
        assert_eq!(code(&composed), ["base()", "left()", "right()", "top()", "main()"]);
    }

    #[test]
    fn circles_and_unknown_steps_are_errors() {
        let why = |name: &str| compose(&format!("--- @include {name}\n"), STEPS).unwrap_err();
        assert!(why("egg").contains("the step egg includes itself, by way of egg, hen"), "{}", why("egg"));
        assert_eq!(why("lost"), "there is no step nowhere");
        assert_eq!(why("nothing"), "there is no step nothing");
        assert!(why("typo").contains("@include"), "{}", why("typo"));
    }

    #[test]
    fn the_command_holds_everything_in_order() {
        let command = command("EVALSHA", "abc", &["k1", "k2"], &[b"\xff\x00".as_slice()]);
        let expected = b"*6\r\n$7\r\nEVALSHA\r\n$3\r\nabc\r\n$1\r\n2\r\n$2\r\nk1\r\n$2\r\nk2\r\n$2\r\n\xff\x00\r\n";
        assert_eq!(command.get_packed_command(), expected);
    }

    #[tokio::test]
    async fn a_script_is_loaded_where_it_is_not_known() {
        let server = RedisServer::start();
        let link = link(&server);
        let script = Script::new("return {KEYS[1], ARGV[1], ARGV[2]}".to_owned());
        let expected = ["k", "a", "b"].map(|text| Value::BulkString(text.into()));
        for _ in 0..2 {
            assert_eq!(script.run(&link, &["k"], &["a", "b"], LONG).await.unwrap(), Value::Array(expected.to_vec()));
        }
        let calls = |command: &str| {
            let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut server.connection()).unwrap();
            let of_command =
                stats.lines().find(|line| line.starts_with(&format!("cmdstat_{command}:"))).unwrap_or("").to_owned();
            of_command.split(['=', ',']).nth(1).unwrap_or("0").parse::<u64>().unwrap()
        };
        assert_eq!((calls("evalsha"), calls("eval")), (2, 1));
    }

    /// The caches of all scripts vanish again and again; each call runs exactly once.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn flushed_scripts_run_once() {
        const CALLS: usize = 20_000;
        let server = RedisServer::start();
        let link = link(&server);
        let script: &'static Script = Box::leak(Box::new(Script::new("return redis.call('INCR', KEYS[1])".to_owned())));
        let done = Arc::new(AtomicBool::new(false));
        let flusher = std::thread::spawn({
            let (done, mut admin) = (Arc::clone(&done), server.connection());
            move || {
                let mut flushes = 0;
                while !done.load(Ordering::Relaxed) {
                    redis::cmd("SCRIPT").arg("FLUSH").exec(&mut admin).unwrap();
                    flushes += 1;
                    // sleep: the pace of the fault
                    std::thread::sleep(Duration::from_millis(2));
                }
                flushes
            }
        });
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let link = link.clone();
                tokio::spawn(async move {
                    for _ in 0..CALLS / 50 {
                        script.run(&link, &["n"], &NOTHING, LONG).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        done.store(true, Ordering::Relaxed);
        assert!(flusher.join().unwrap() > 1, "nothing was flushed meanwhile");
        let stats: String = redis::cmd("INFO").arg("errorstats").query(&mut server.connection()).unwrap();
        assert!(stats.contains("errorstat_NOSCRIPT"), "no call met a flushed cache: {stats}");
        let ran: usize = redis::cmd("GET").arg("n").query(&mut server.connection()).unwrap();
        assert_eq!(ran, CALLS);
    }

    #[tokio::test]
    async fn both_sendings_share_one_deadline() {
        let server = RedisServer::start();
        let link = link(&server);
        link.call(&redis::cmd("PING"), LONG).await.unwrap();
        server.freeze();
        let script = Script::new("return 1".to_owned());
        let error = script.run(&link, &NOTHING, &NOTHING, Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unknown);
        server.thaw();
        assert_eq!(script.run(&link, &NOTHING, &NOTHING, LONG).await.unwrap(), Value::Int(1));
    }

    #[tokio::test]
    async fn errors_are_judged_whether_it_was_known_or_not() {
        let server = RedisServer::start();
        let link = link(&server);
        let script = Script::new("return {1, redis.error_reply('MINE no')}".to_owned());
        for _ in 0..2 {
            let error = script.run(&link, &NOTHING, &NOTHING, LONG).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Store);
            assert!(error.to_string().contains("MINE no"), "{error}");
        }
    }
}
