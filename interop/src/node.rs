//! One Node process with the real npm `bullmq` and `ioredis`, driven step by step over JSON lines.
//!
//! A step is `{"op": ..., "queue": ..., ...}`; `interop/node/ops.mjs` lists the ops, `processor.mjs` what a worker's
//! processor can be told to do. Any step can carry `now`: `BullMQ`'s clock stands at that millisecond while it runs.

use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::wait;

/// An error that `BullMQ` or the driver raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeError {
    /// The class, e.g. `Error` or `UnrecoverableError`.
    pub name: String,
    /// What it says.
    pub message: String,
    /// The script's error code, e.g. -2 for a missing lock, where there is one.
    pub code: Option<i64>,
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)?;
        self.code.map_or(Ok(()), |code| write!(f, " (code {code})"))
    }
}

impl std::error::Error for NodeError {}

type Answer = Result<Value, NodeError>;

enum Waiter {
    Thread(mpsc::SyncSender<Answer>),
    Task(oneshot::Sender<Answer>),
}

#[derive(Default)]
struct Waiters {
    next: u64,
    open: HashMap<u64, Waiter>,
    ended: bool,
}

/// The process. Dropping it ends it; so does the end of the test process, since it reads its steps from a pipe.
pub struct NodeBull {
    child: Child,
    input: Mutex<ChildStdin>,
    waiters: Arc<Mutex<Waiters>>,
}

impl NodeBull {
    /// Starts Node against a server, e.g. `RedisServer::url()`; a path in the URL chooses the database.
    pub fn start(redis_url: &str) -> Self {
        let folder = folder();
        assert!(
            folder.join("node_modules/bullmq").exists(),
            "the Node packages are missing: run ./test, or `npm ci` in interop/node"
        );
        let mut child = Command::new("node")
            .arg(folder.join("driver.mjs"))
            .arg(redis_url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start node: {e}; run ./test, or install Node 18 or newer"));
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let waiters = Arc::new(Mutex::new(Waiters { next: 1, ..Waiters::default() }));
        let shared = Arc::clone(&waiters);
        std::thread::Builder::new()
            .name("node replies".into())
            .spawn(move || deliver(output, &shared))
            .expect("a thread");
        let node = Self { child, input: Mutex::new(input), waiters };
        node.call(json!({"op": "ping"}));
        node
    }

    /// Runs one step and returns what it answers. Panics if it raises an error.
    #[track_caller]
    pub fn call(&self, step: Value) -> Value {
        let what = step.to_string();
        self.try_call(step).unwrap_or_else(|e| panic!("{what}: {e}"))
    }

    /// Runs one step; its error is a value.
    pub fn try_call(&self, step: Value) -> Answer {
        let (tx, rx) = mpsc::sync_channel(1);
        self.send(step, Waiter::Thread(tx));
        rx.recv_timeout(wait::DEADLINE * 2).unwrap_or_else(|e| panic!("no answer from node: {e}"))
    }

    /// Like [`call`](Self::call) for async tests: the runtime goes on while Node works.
    pub async fn call_async(&self, step: Value) -> Value {
        let what = step.to_string();
        self.try_call_async(step).await.unwrap_or_else(|e| panic!("{what}: {e}"))
    }

    /// Like [`try_call`](Self::try_call) for async tests.
    pub async fn try_call_async(&self, step: Value) -> Answer {
        let (tx, rx) = oneshot::channel();
        self.send(step, Waiter::Task(tx));
        match tokio::time::timeout(wait::DEADLINE * 2, rx).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => panic!("the node process ended"),
            Err(elapsed) => panic!("no answer from node: {elapsed}"),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once (SIGKILL), as a crash would: its workers leave their jobs active.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops the process where it stands (SIGSTOP): its locks run out.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed()).expect("a process id");
        kill_process(pid, signal).expect("our own child");
    }

    fn send(&self, mut step: Value, waiter: Waiter) {
        let seq = {
            let mut waiters = lock(&self.waiters);
            assert!(!waiters.ended, "the node process ended");
            let seq = waiters.next;
            waiters.next += 1;
            waiters.open.insert(seq, waiter);
            seq
        };
        step["seq"] = json!(seq);
        let mut input = lock(&self.input);
        writeln!(input, "{step}").and_then(|()| input.flush()).unwrap_or_else(|e| panic!("node does not listen: {e}"));
    }
}

impl Drop for NodeBull {
    fn drop(&mut self) {
        self.kill();
    }
}

fn deliver(output: BufReader<ChildStdout>, waiters: &Mutex<Waiters>) {
    for line in output.lines().map_while(Result::ok) {
        let Ok(reply) = serde_json::from_str::<Value>(&line) else {
            eprintln!("node said: {line}");
            continue;
        };
        let Some(waiter) = reply["seq"].as_u64().and_then(|seq| lock(waiters).open.remove(&seq)) else { continue };
        // Whoever asked may have given up: then nobody wants the answer.
        match waiter {
            Waiter::Thread(tx) => drop(tx.send(answer(&reply))),
            Waiter::Task(tx) => drop(tx.send(answer(&reply))),
        }
    }
    let mut waiters = lock(waiters);
    waiters.ended = true;
    waiters.open.clear();
}

fn answer(reply: &Value) -> Answer {
    let error = &reply["error"];
    if error.is_null() {
        return Ok(reply["ok"].clone());
    }
    let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
    Err(NodeError { name: text("name"), message: text("message"), code: error["code"].as_i64() })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("node")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::RedisServer;

    #[test]
    fn a_step_can_carry_the_time() {
        let server = RedisServer::start();
        let node = NodeBull::start(&server.url());
        let now = 1_700_000_000_123_u64;
        let job = node.call(json!({"op": "add", "queue": "q", "name": "n", "data": {"a": 1}, "now": now}));
        assert_eq!(job["timestamp"], now);
        let taken = node.call(json!({"op": "getNextJob", "queue": "q", "token": "t:1", "now": now + 5}));
        assert_eq!((&taken["id"], &taken["processedOn"]), (&job["id"], &json!(now + 5)));
        node.call(
            json!({"op": "moveToCompleted", "queue": "q", "id": job["id"], "token": "t:1", "value": 7, "now": now + 9}),
        );
        let done = node.call(json!({"op": "getJob", "queue": "q", "id": job["id"]}));
        assert_eq!((&done["returnvalue"], &done["finishedOn"]), (&json!(7), &json!(now + 9)));
        // And the next step has the real time again.
        let job = node.call(json!({"op": "add", "queue": "q", "name": "n", "data": {}}));
        assert!(job["timestamp"].as_u64().unwrap() > now + 1000);
    }

    #[test]
    fn errors_carry_the_scripts_code() {
        let server = RedisServer::start();
        let node = NodeBull::start(&server.url());
        node.call(json!({"op": "add", "queue": "q", "name": "n", "data": {}, "opts": {"jobId": "j"}}));
        node.call(json!({"op": "fetch", "queue": "q", "token": "mine"}));
        let wrong =
            node.try_call(json!({"op": "moveToCompleted", "queue": "q", "id": "j", "token": "other", "value": 1}));
        assert_eq!(wrong.unwrap_err().code, Some(-6));
        let gone = node.try_call(json!({"op": "moveToFailed", "queue": "q", "id": "none", "token": "x", "error": {}}));
        assert_eq!(gone.unwrap_err().code, Some(-1));
    }

    #[tokio::test]
    async fn a_worker_does_what_its_script_says() {
        let server = RedisServer::start();
        let node = NodeBull::start(&server.url());
        node.call_async(json!({"op": "events.start", "as": "e", "queue": "q"})).await;
        let plan =
            json!({"byName": {"bad": [{"throw": {"message": "no"}}]}, "default": [{"progress": 40}, {"hold": true}]});
        node.call_async(
            json!({"op": "worker.start", "as": "w", "queue": "q", "processor": plan, "worker": {"concurrency": 2}}),
        )
        .await;
        let good = node.call_async(json!({"op": "add", "queue": "q", "name": "good", "data": {}})).await["id"].clone();
        let bad = node.call_async(json!({"op": "add", "queue": "q", "name": "bad", "data": {}})).await["id"].clone();
        let failed = node.call_async(json!({"op": "worker.wait", "as": "w", "event": "failed"})).await;
        assert_eq!((&failed[0]["jobId"], &failed[0]["reason"]), (&bad, &json!("no")));
        node.call_async(json!({"op": "worker.wait", "as": "w", "event": "progress", "jobId": good})).await;
        let state = node.call_async(json!({"op": "getState", "queue": "q", "id": good})).await;
        assert_eq!(state, "active", "it is held");
        node.call_async(json!({"op": "worker.tell", "as": "w", "id": good, "steps": [{"complete": "done"}]})).await;
        let seen = node.call_async(json!({"op": "events.wait", "as": "e", "event": "completed", "jobId": good})).await;
        assert_eq!(seen[0]["returnvalue"], "done");
        node.call_async(json!({"op": "worker.stop", "as": "w"})).await;
        node.call_async(json!({"op": "close"})).await;
    }

    #[test]
    fn constructing_a_queue_writes_nothing_unless_asked() {
        let server = RedisServer::start();
        let node = NodeBull::start(&server.url());
        let keys = || -> Vec<String> { ::redis::cmd("KEYS").arg("*").query(&mut server.connection()).unwrap() };
        node.call(json!({"op": "counts", "queue": "q"}));
        assert_eq!(keys(), Vec::<String>::new());
        node.call(json!({"op": "counts", "queue": "q", "meta": true}));
        assert_eq!(keys(), ["bull:q:meta"]);
    }

    #[test]
    #[should_panic(expected = "unknown op")]
    fn an_unknown_op_is_an_error() {
        let server = RedisServer::start();
        NodeBull::start(&server.url()).call(json!({"op": "no-such-op"}));
    }

    #[test]
    fn a_killed_process_fails_its_steps() {
        let server = RedisServer::start();
        let mut node = NodeBull::start(&server.url());
        node.kill();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| node.call(json!({"op": "ping"}))));
        assert!(result.is_err());
    }
}
