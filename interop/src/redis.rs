//! A real `redis-server` of the test's own: a free port of 127.0.0.1, a folder of its own, nothing persisted.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::wait;

/// Between the test and its server stands this shell. It starts the server, says its process id, and waits for its own
/// input to end, which happens when the test closes it or dies in whatever way: no server is left behind.
const HOLDER: &str = r#"trap '' INT TERM HUP
"$@" </dev/null >/dev/null 2>&1 &
server=$!
echo "$server"
exec >/dev/null 2>&1
read -r _
kill -9 "$server"
wait "$server""#;

/// A running server; dropping it ends it.
pub struct RedisServer {
    running: Option<Running>,
    port: u16,
    args: Vec<String>,
    dir: TempDir,
}

struct Running {
    holder: Child,
    input: Option<ChildStdin>,
    pid: Pid,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.input.take());
        // The holder ends the server first, so afterwards the port is free.
        let _ = self.holder.wait();
    }
}

/// How to start a server: [`RedisServer::builder`].
#[derive(Default)]
pub struct Builder {
    args: Vec<String>,
    port: Option<u16>,
}

impl Builder {
    /// A command-line option of `redis-server` and its value, e.g. `("--appendonly", "yes")`. Later ones win.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.args.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// This port instead of a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Starts it and returns once it answers.
    pub fn start(self) -> RedisServer {
        let dir = tempfile::Builder::new().prefix("lariat-redis-").tempdir().expect("a temporary folder");
        let mut server = RedisServer { running: None, port: 0, args: self.args, dir };
        for _ in 0..50 {
            server.port = self.port.unwrap_or_else(free_port);
            match server.launch() {
                Ok(()) => return server,
                // Somebody took the port between our look and the server's: another one.
                Err(Refused::PortTaken) if self.port.is_none() => {}
                Err(why) => panic!("redis-server did not start: {why:?}\n{}", server.log()),
            }
        }
        panic!("no free port in 50 tries\n{}", server.log());
    }
}

#[derive(Debug)]
#[allow(dead_code, reason = "the text is read through Debug, in the panic that reports it")]
enum Refused {
    PortTaken,
    Other(String),
}

impl RedisServer {
    /// A server with the defaults: free port, no persistence, no limit of memory.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// To set options first.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `redis://127.0.0.1:PORT`, database 0.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The same server, another of its 16 databases.
    pub fn url_db(&self, db: u8) -> String {
        format!("redis://127.0.0.1:{}/{db}", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process id. Panics while it is killed.
    pub fn pid(&self) -> u32 {
        self.process().as_raw_nonzero().get().unsigned_abs()
    }

    /// Its folder, where persistence and the log are; gone with the server.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// A new blocking connection to database 0.
    pub fn connection(&self) -> ::redis::Connection {
        connect(&self.url())
    }

    /// Stops the process where it stands (SIGSTOP): connections stay open, nothing is answered.
    pub fn freeze(&self) {
        kill_process(self.process(), Signal::STOP).expect("SIGSTOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        kill_process(self.process(), Signal::CONT).expect("SIGCONT");
    }

    /// Ends it at once (SIGKILL). Nothing that was not persisted survives; [`restart`](Self::restart) starts it again.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Ends it if it runs, and starts it on the same port in the same folder, so what was persisted is there again.
    pub fn restart(&mut self) {
        self.kill();
        let port = self.port;
        wait::until("redis-server starts on its old port", || match self.launch() {
            Ok(()) => true,
            Err(Refused::PortTaken) => false,
            Err(why) => panic!("redis-server did not start again on {port}: {why:?}\n{}", self.log()),
        });
    }

    fn process(&self) -> Pid {
        self.running.as_ref().expect("the server is killed").pid
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("redis.log")
    }

    fn launch(&mut self) -> Result<(), Refused> {
        let _ = std::fs::remove_file(self.log_file());
        let mut holder = Command::new("sh")
            .args(["-c", HOLDER, "holder", "redis-server", "--bind", "127.0.0.1", "--daemonize", "no"])
            .args(["--port", &self.port.to_string(), "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(self.dir.path())
            .arg("--logfile")
            .arg(self.log_file())
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| Refused::Other(e.to_string()))?;
        let input = holder.stdin.take();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("piped"))
            .read_line(&mut line)
            .map_err(|e| Refused::Other(e.to_string()))?;
        let pid = line.trim().parse().ok().and_then(Pid::from_raw).expect("the holder says the server's process id");
        let running = Running { holder, input, pid };
        self.await_answer(pid)?;
        self.running = Some(running);
        Ok(())
    }

    /// Until the server on our port is the one we started: another may have taken the port before it.
    fn await_answer(&self, pid: Pid) -> Result<(), Refused> {
        let give_up = Instant::now() + wait::DEADLINE;
        while Instant::now() < give_up {
            if self.port_taken() {
                return Err(Refused::PortTaken);
            }
            if let Some(answering) = process_on(&self.url())
                && answering == pid.as_raw_nonzero().get()
            {
                return Ok(());
            }
            if !is_server(pid) {
                return Err(if self.port_taken() { Refused::PortTaken } else { Refused::Other(why_ended()) });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(Refused::Other("it does not answer".into()))
    }

    fn port_taken(&self) -> bool {
        self.log().contains("Address already in use")
    }
}

/// A blocking connection to `url`; panics if there is none to be had.
pub fn connect(url: &str) -> ::redis::Connection {
    ::redis::Client::open(url)
        .and_then(|client| client.get_connection_with_timeout(Duration::from_secs(10)))
        .unwrap_or_else(|e| panic!("cannot connect to {url}: {e}"))
}

/// The process behind the address, once it serves: while it loads its data INFO answers already, PING does not.
fn process_on(url: &str) -> Option<i32> {
    let client = ::redis::Client::open(url).ok()?;
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(1)).ok()?;
    connection.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    ::redis::cmd("PING").exec(&mut connection).ok()?;
    let info: String = ::redis::cmd("INFO").arg("server").query(&mut connection).ok()?;
    info.lines().find_map(|line| line.strip_prefix("process_id:"))?.trim().parse().ok()
}

/// Whether the process still runs (a missing `redis-server` and one that refused its options end at once). One that has
/// ended stays a zombie until the holder waits for it.
fn is_server(pid: Pid) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat", pid = pid.as_raw_nonzero())) {
        Ok(stat) => !matches!(stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()), Some('Z' | 'X')),
        // No /proc here: the deadline decides.
        Err(_) => !Path::new("/proc/self/stat").exists(),
    }
}

fn why_ended() -> String {
    match Command::new("redis-server").arg("--version").output() {
        Ok(_) => "it ended".into(),
        Err(e) => format!("{e}: run ./test, which installs redis-server, or install it yourself"),
    }
}

/// A port that is free now, below the range from which outgoing connections take theirs.
fn free_port() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    for attempt in 0..1000_u32 {
        let random = RandomState::new().hash_one(attempt);
        let port = 15_000 + u16::try_from(random % 17_000).expect("below 17,000");
        if TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port on 127.0.0.1");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(server: &RedisServer, key: &str) {
        ::redis::cmd("SET").arg(key).arg("1").exec(&mut server.connection()).unwrap();
    }

    fn exists(server: &RedisServer, key: &str) -> bool {
        ::redis::cmd("EXISTS").arg(key).query(&mut server.connection()).unwrap()
    }

    #[test]
    fn two_servers_do_not_share_anything() {
        let (a, b) = (RedisServer::start(), RedisServer::start());
        assert_ne!(a.port(), b.port());
        assert_ne!(a.pid(), b.pid());
        set(&a, "only-in-a");
        assert!(exists(&a, "only-in-a"));
        assert!(!exists(&b, "only-in-a"));
    }

    #[test]
    fn a_taken_port_is_noticed_and_another_found() {
        let first = RedisServer::start();
        let mut second = RedisServer { running: None, port: first.port(), args: vec![], dir: TempDir::new().unwrap() };
        assert!(matches!(second.launch(), Err(Refused::PortTaken)));
    }

    #[test]
    fn a_frozen_server_is_silent_until_it_thaws() {
        let server = RedisServer::start();
        let mut connection = server.connection();
        connection.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        server.freeze();
        assert!(::redis::cmd("PING").exec(&mut connection).is_err());
        server.thaw();
        assert!(::redis::cmd("PING").exec(&mut server.connection()).is_ok());
    }

    #[test]
    fn restart_keeps_the_port_and_what_was_persisted() {
        let mut server = RedisServer::builder().option("--appendonly", "yes").option("--appendfsync", "always").start();
        let (port, pid) = (server.port(), server.pid());
        set(&server, "kept");
        server.kill();
        assert!(::redis::Client::open(server.url()).unwrap().get_connection().is_err());
        server.restart();
        assert_eq!(server.port(), port);
        assert_ne!(server.pid(), pid);
        assert!(exists(&server, "kept"));
    }

    #[test]
    fn without_persistence_a_restart_forgets() {
        let mut server = RedisServer::start();
        set(&server, "gone");
        server.restart();
        assert!(!exists(&server, "gone"));
    }

    #[test]
    fn options_reach_the_server() {
        let server = RedisServer::builder().option("--maxmemory", "12mb").start();
        let reply: Vec<String> =
            ::redis::cmd("CONFIG").arg("GET").arg("maxmemory").query(&mut server.connection()).unwrap();
        assert_eq!(reply[1], "12582912");
    }

    #[test]
    #[should_panic(expected = "redis-server did not start")]
    fn a_server_that_refuses_its_options_is_reported() {
        let _ = RedisServer::builder().option("--no-such-option", "1").start();
    }

    #[test]
    fn no_server_outlives_its_holders_input() {
        let mut server = RedisServer::start();
        let pid = Pid::from_raw(server.pid().cast_signed()).unwrap();
        server.freeze();
        // What happens when the test process dies: the pipe closes, nobody says goodbye.
        drop(server.running.as_mut().unwrap().input.take());
        wait::until("the frozen server is gone", || !is_server(pid));
    }
}
