//! One attempt to connect: find the server, open a socket, be let in.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::socket2::{SockRef, TcpKeepalive};
use redis::{AsyncConnectionConfig, Pipeline, RedisConnectionInfo, RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::super::super::url::{Address, Place};
use super::fault;
use super::pulse::Pulse;
use crate::error::Error;

/// Longest that an attempt may take: name lookup, socket, login.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that does not even acknowledge probes is noticed after 3 + 2 x 2 s, also by a connection that only waits.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(3), Duration::from_secs(2), 2);
/// Commands that may wait in the connection's channel. More tasks than this wait for a place in it.
const QUEUED_COMMANDS: usize = 256;

/// Finds the server. The place where Sentinel and Cluster will be asked.
pub(super) enum Resolver {
    /// The server that the URL names.
    Single(Address),
}

impl Resolver {
    pub(super) fn server(&self) -> &Address {
        match self {
            Resolver::Single(address) => address,
        }
    }
}

/// A connection to a server that has let us in. The last clone closes it.
#[derive(Clone)]
pub(super) struct Connection(Arc<Life>);

struct Life {
    wire: MultiplexedConnection,
    driver: AbortHandle,
    pulse: Arc<Pulse>,
    made: Instant,
    /// Milliseconds from `made` to the last answer, and 1; 0 before the first.
    heard: AtomicU64,
    /// When the first call was sent that got no answer since, on the same scale; 0 when there was none.
    unanswered: AtomicU64,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub(super) fn wire(&self) -> MultiplexedConnection {
        self.0.wire.clone()
    }

    pub(super) fn same(&self, other: &Connection) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The socket is closed, or its runtime gone: what is sent now is not sent.
    pub(super) fn has_ended(&self) -> bool {
        self.0.pulse.has_ended()
    }

    /// Closes the socket now, whoever else holds a clone.
    pub(super) fn close(&self) {
        self.0.pulse.end();
        self.0.driver.abort();
    }

    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        &self.0.pulse
    }

    /// An answer came.
    pub(super) fn heard(&self) {
        self.0.heard.store(millis(self.0.made.elapsed()).saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn has_answered(&self) -> bool {
        self.0.heard.load(Ordering::Relaxed) != 0
    }

    /// A call that was sent then got no answer in time: for how long has nothing come, counted from the first such call?
    /// Calls with short deadlines follow each other, so one alone never sees a long silence.
    pub(super) fn silent_for(&self, sent: Instant) -> Duration {
        let heard = self.0.heard.load(Ordering::Relaxed);
        let sent = millis(sent.saturating_duration_since(self.0.made)).saturating_add(1);
        let first = Some(self.0.unanswered.load(Ordering::Relaxed)).filter(|first| *first != 0 && *first >= heard);
        let since = first.unwrap_or(sent).min(sent).max(heard);
        self.0.unanswered.store(since, Ordering::Relaxed);
        Duration::from_millis(millis(self.0.made.elapsed()).saturating_sub(since))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Says so when the task that holds it ends, in whatever way.
struct EndOnDrop(Arc<Pulse>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Connects, logs in, and makes sure that the server answers. One round trip after the socket is open.
pub(super) async fn dial(resolver: &Resolver, name: Option<&str>) -> Result<Connection, Error> {
    let address = resolver.server();
    let made = timeout(CONNECT_TIMEOUT, async {
        let connection = open(address).await.map_err(|error| fault::not_connected(address, error))?;
        let greeting = greeting(address, name);
        let replies = connection.wire().send_packed_commands(&greeting, 0, greeting.len()).await;
        let replies = replies.map_err(|error| fault::hung_up(address, error))?;
        admitted(address, &replies)?;
        Ok(connection)
    });
    made.await.unwrap_or_else(|_| Err(fault::no_greeting(address, CONNECT_TIMEOUT)))
}

async fn open(address: &Address) -> Result<Connection, RedisError> {
    match &address.place {
        Place::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            tune(&stream)?;
            drive(stream).await
        }
        Place::Unix(path) => drive(UnixStream::connect(path).await?).await,
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (idle, interval, retries) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(retries);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Gives the socket to the client library. Its own login, timeouts and retries are not used.
async fn drive<S>(stream: S) -> Result<Connection, RedisError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let silent = RedisConnectionInfo::default().set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(QUEUED_COMMANDS);
    let (wire, driver) = MultiplexedConnection::new_with_config(&silent, stream, config).await?;
    let pulse = Arc::new(Pulse::default());
    let guard = EndOnDrop(Arc::clone(&pulse));
    let driver = tokio::spawn(async move {
        let _guard = guard;
        driver.await;
    });
    let (driver, made) = (driver.abort_handle(), Instant::now());
    Ok(Connection(Arc::new(Life {
        wire,
        driver,
        pulse,
        made,
        heard: AtomicU64::new(0),
        unanswered: AtomicU64::new(0),
    })))
}

/// The commands of a new connection. The last is the one that shows whether the server serves.
fn greeting(address: &Address, name: Option<&str>) -> Pipeline {
    let mut pipe = Pipeline::new();
    match (&address.user, &address.password) {
        (None, None) => {}
        // Servers before 6 know no users, and the default one needs not be named.
        (None, Some(password)) => {
            pipe.cmd("AUTH").arg(password);
        }
        (Some(user), Some(password)) if user == "default" => {
            pipe.cmd("AUTH").arg(password);
        }
        (Some(user), password) => {
            pipe.cmd("AUTH").arg(user).arg(password.as_deref().unwrap_or_default());
        }
    }
    if address.resp3 {
        pipe.cmd("HELLO").arg(3);
    }
    if address.db != 0 {
        pipe.cmd("SELECT").arg(address.db);
    }
    pipe.cmd("CLIENT").arg("SETINFO").arg("LIB-NAME").arg("lariat");
    pipe.cmd("CLIENT").arg("SETINFO").arg("LIB-VER").arg(env!("CARGO_PKG_VERSION"));
    if let Some(name) = name {
        pipe.cmd("CLIENT").arg("SETNAME").arg(name);
    }
    pipe.cmd("PING");
    pipe
}

/// Looks through the replies to [`greeting`], in order. Refusals of names are passed over, and one of PING by an ACL.
fn admitted(address: &Address, replies: &[Value]) -> Result<(), Error> {
    let mut replies = replies.iter().map(fault::error_in);
    if address.user.is_some() || address.password.is_some() {
        replies.next().flatten().map_or(Ok(()), |reply| Err(fault::login(address, reply)))?;
    }
    if address.resp3 {
        replies.next().flatten().map_or(Ok(()), |reply| Err(fault::hello(address, reply)))?;
    }
    if address.db != 0 {
        replies.next().flatten().map_or(Ok(()), |reply| Err(fault::select(address, reply)))?;
    }
    match replies.next_back().flatten() {
        Some(reply) if reply.code() != "NOPERM" => Err(fault::not_serving(address, reply)),
        _ => Ok(()),
    }
}
