//! A TCP proxy in front of a server, with faults on script.
//!
//! It knows just enough of the Redis protocol to tell requests and replies apart, so a fault hits exactly one call:
//! "the reply to the next EVALSHA is lost" is [`Fault::LoseReply`] with [`holding`]`(b"EVALSHA")`. What is sent on
//! subscriber connections and to MONITOR has replies without requests: there only whole-proxy faults are exact.
//!
//! Threads, no runtime: a test that blocks or freezes its runtime still has a working network.

mod frame;
mod pipe;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::wait;

/// What is done to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The server runs it; its reply is thrown away and the connection is cut.
    LoseReply,
    /// The server never sees it; the connection is cut.
    LoseRequest,
    /// The server runs it; the reply, and all after it, waits for [`Proxy::release`].
    HoldReply,
    /// The server sees it, and all after it, only at [`Proxy::release`].
    HoldRequest,
    /// The reply, and all after it, comes this much later.
    DelayReply(Duration),
    /// The server runs it; instead of the reply the client gets the end of the stream, while its own side stays open.
    HalfClose,
    /// From this request on nothing goes either way on its connection, which stays open.
    BlackHole,
}

/// Looks at the bytes of one request as they are on the wire.
pub type Matcher = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Matches a request that contains these bytes, e.g. the name of a command, regardless of case.
pub fn holding(needle: &[u8]) -> Matcher {
    let needle = needle.to_ascii_uppercase();
    Box::new(move |request| request.to_ascii_uppercase().windows(needle.len()).any(|bytes| bytes == needle))
}

/// Matches every request.
pub fn any() -> Matcher {
    Box::new(|_| true)
}

/// A fault that lies in wait, or a count of what goes by. Cloning gives another view of the same.
#[derive(Clone)]
pub struct Watch(Arc<AtomicUsize>);

impl Watch {
    /// How often it has happened.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Blocks until it has happened this often.
    pub fn wait_for(&self, count: usize) {
        wait::until("the proxy saw the request", || self.count() >= count);
    }

    /// Like [`wait_for`](Self::wait_for) for async tests.
    pub async fn wait_for_async(&self, count: usize) {
        wait::until_async("the proxy saw the request", || async { self.count() >= count }).await;
    }
}

struct Rule {
    matches: Matcher,
    /// How many more matching requests to let pass before it strikes.
    skip: usize,
    /// How often it strikes; `None`: always.
    left: Option<usize>,
    /// `None` only counts.
    fault: Option<Fault>,
    fired: Watch,
}

/// What all connections obey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    #[default]
    Pass,
    Hold,
    BlackHole,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    mode: Mode,
    /// Grows at every release: whoever holds something looks whether it has grown since.
    releases: u64,
    open: Vec<(usize, TcpStream, TcpStream)>,
}

struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault for this request, if one lies in wait; the first rule that strikes wins, all that match count.
    fn judge(&self, request: &[u8]) -> Option<Fault> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let mut found = None;
        for rule in &mut self.lock().rules {
            if !(rule.matches)(request) || rule.left == Some(0) || (found.is_some() && rule.fault.is_some()) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.left = rule.left.map(|left| left - 1);
            found = found.or(rule.fault);
            rule.fired.0.fetch_add(1, Ordering::SeqCst);
        }
        found
    }

    /// Blocks until the next release.
    fn await_release(&self) {
        let state = self.lock();
        let seen = state.releases;
        drop(self.changed.wait_while(state, |state| state.releases == seen));
    }

    /// Blocks while everything is held; says whether what is at hand may go on.
    fn may_pass(&self) -> bool {
        let state = self.lock();
        let state =
            self.changed.wait_while(state, |state| state.mode == Mode::Hold).unwrap_or_else(PoisonError::into_inner);
        state.mode == Mode::Pass
    }
}

/// The proxy; dropping it cuts every connection and frees the port.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<Arc<AtomicBool>>,
}

impl Proxy {
    /// In front of this port of 127.0.0.1, e.g. `RedisServer::port()`.
    pub fn start(target_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let shared = Arc::new(Shared {
            target: (Ipv4Addr::LOCALHOST, target_port).into(),
            state: Mutex::default(),
            changed: Condvar::new(),
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
        });
        let mut proxy = Self { shared, address: listener.local_addr().expect("bound"), accepting: None };
        proxy.listen(listener);
        proxy
    }

    /// `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many are open now.
    pub fn open_connections(&self) -> usize {
        self.shared.lock().open.len()
    }

    /// How many requests came by so far; a pipeline of three counts three.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// The next request that matches gets the fault; later ones pass.
    pub fn on_next(&self, matches: Matcher, fault: Fault) -> Watch {
        self.rule(matches, 0, Some(1), Some(fault))
    }

    /// The n-th matching request from now gets it, beginning with 1.
    pub fn on_nth(&self, n: usize, matches: Matcher, fault: Fault) -> Watch {
        self.rule(matches, n.checked_sub(1).expect("the first request is number 1"), Some(1), Some(fault))
    }

    /// Every matching request gets it, until [`clear`](Self::clear).
    pub fn on_each(&self, matches: Matcher, fault: Fault) -> Watch {
        self.rule(matches, 0, None, Some(fault))
    }

    /// Counts matching requests.
    pub fn count(&self, matches: Matcher) -> Watch {
        self.rule(matches, 0, None, None)
    }

    /// Forgets all rules and counts; what is held stays held.
    pub fn clear(&self) {
        self.shared.lock().rules.clear();
    }

    /// Everything stands still, on old and new connections, until [`release`](Self::release); nothing is lost.
    pub fn hold(&self) {
        self.set(Mode::Hold);
    }

    /// Everything sent from now on, either way, is swallowed; connections stay open. Ends with [`release`](Self::release).
    pub fn black_hole(&self) {
        self.set(Mode::BlackHole);
    }

    /// Lets go on what is held, and passes everything again.
    pub fn release(&self) {
        self.set(Mode::Pass);
    }

    /// Cuts all open connections; new ones are welcome.
    pub fn cut(&self) {
        for (_, client, server) in &self.shared.lock().open {
            pipe::close(client);
            pipe::close(server);
        }
        wait::until("the connections are cut", || self.open_connections() == 0);
    }

    /// Stops listening, so that connecting is refused; open connections go on. [`admit`](Self::admit) ends it.
    pub fn refuse(&mut self) {
        let Some(on) = self.accepting.take() else { return };
        on.store(false, Ordering::SeqCst);
        // A connection of our own wakes the thread from accept; it then drops the listener.
        drop(TcpStream::connect(self.address));
        wait::until("the proxy's port is closed", || TcpStream::connect(self.address).is_err());
    }

    /// Listens again on the same port.
    pub fn admit(&mut self) {
        if self.accepting.is_none() {
            let listener = wait::find("the proxy's port is free again", || TcpListener::bind(self.address).ok());
            self.listen(listener);
        }
    }

    fn rule(&self, matches: Matcher, skip: usize, left: Option<usize>, fault: Option<Fault>) -> Watch {
        let fired = Watch(Arc::default());
        self.shared.lock().rules.push(Rule { matches, skip, left, fault, fired: fired.clone() });
        fired
    }

    fn set(&self, mode: Mode) {
        let mut state = self.shared.lock();
        state.mode = mode;
        if mode == Mode::Pass {
            state.releases += 1;
        }
        self.shared.changed.notify_all();
    }

    fn listen(&mut self, listener: TcpListener) {
        let on = Arc::new(AtomicBool::new(true));
        self.accepting = Some(Arc::clone(&on));
        let shared = Arc::clone(&self.shared);
        let accept = move || {
            for client in listener.incoming() {
                if !on.load(Ordering::SeqCst) {
                    return;
                }
                let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                // A target that refuses shows as a connection that is closed at once.
                let _: io::Result<()> = client.and_then(|client| pipe::connect(number, client, &shared));
            }
        };
        std::thread::Builder::new().name("proxy".into()).spawn(accept).expect("a thread");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
        self.release();
        self.cut();
    }
}

#[cfg(test)]
mod tests;
