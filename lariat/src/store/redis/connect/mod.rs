//! How this crate reaches Redis: one supervised connection.
//!
//! A [`Link`] connects when it is first used, in the runtime of whoever uses it, and again whenever it has lost its
//! connection. It never sends anything twice: a call is sent at most once and its failure says whether it may have been
//! carried out. Repeating is the caller's business, for only the caller knows whether that is safe.
//!
//! - [`dial`] makes one connection; [`supervise`] decides when to make the next; [`fault`] says what a failure means;
//!   [`pulse`] is the one timer of all calls that wait.
//!
//! What may not be in this folder: anything that knows a key, a script or a queue.

use std::future::ready;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Pipeline, RedisError, ServerError, Value};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

mod dial;
mod fault;
mod pulse;
mod supervise;
#[cfg(test)]
mod tests;

use self::dial::{Connection, Resolver};
use self::supervise::{Next, State};
use super::super::url::Address;
use crate::error::{Error, ErrorKind};

/// What a link is for; decides how patient it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Commands,
    /// Renewals: a lock does not wait, so attempts to connect follow each other closely, and silence is noticed sooner.
    Locks,
    /// [`Link::block`].
    Waiting,
}

impl Purpose {
    /// Longest pause between two attempts to connect.
    fn longest_pause(self) -> Duration {
        match self {
            Purpose::Commands | Purpose::Waiting => Duration::from_secs(2),
            Purpose::Locks => Duration::from_millis(500),
        }
    }

    /// A call that times out on a connection from which nothing was heard for so long takes the connection with it.
    fn silence(self) -> Duration {
        match self {
            Purpose::Commands | Purpose::Waiting => Duration::from_secs(1),
            Purpose::Locks => Duration::from_millis(500),
        }
    }
}

/// What a blocking call is given beyond its blocking time before its connection counts as lost.
const BLOCK_MARGIN: Duration = Duration::from_secs(2);

/// One supervised connection. Cheap to clone; clones share it. No I/O until it is used.
#[derive(Clone)]
pub(super) struct Link(Arc<Shared>);

struct Shared {
    resolver: Resolver,
    purpose: Purpose,
    name: Option<String>,
    state: watch::Sender<State>,
    /// Held by the one blocking call.
    blocking: Mutex<()>,
}

impl Link {
    /// `name` is what CLIENT LIST shows; a server that refuses it is used all the same.
    pub(super) fn new(address: Address, purpose: Purpose, name: Option<String>) -> Link {
        let resolver = Resolver::Single(address);
        Link(Arc::new(Shared { resolver, purpose, name, state: watch::Sender::default(), blocking: Mutex::default() }))
    }

    /// Sends one command and waits for its reply, at most for `deadline`.
    ///
    /// While there is no connection and the last attempt to make one has just failed, this fails at once with that
    /// attempt's error; callers repeat with a backoff of their own. While an attempt is under way it waits for it.
    ///
    /// Errors: [`Unreachable`](ErrorKind::Unreachable) - not carried out; [`Unknown`](ErrorKind::Unknown) - it was sent,
    /// and the connection or the deadline ended first; [`Denied`](ErrorKind::Denied); [`Store`](ErrorKind::Store) - Redis
    /// answered with an error, be it inside an array or map of the reply.
    ///
    /// Cancel safety: dropping the future neither harms the connection nor calls anything back: a command that was sent
    /// is carried out, its reply is thrown away. Attempts to connect go on without their callers.
    pub(super) async fn call(&self, cmd: &Cmd, deadline: Duration) -> Result<Value, Error> {
        self.call_until(cmd, Instant::now() + deadline).await
    }

    pub(super) async fn call_until(&self, cmd: &Cmd, until: Instant) -> Result<Value, Error> {
        self.ask(cmd, until).await?.map_err(|reply| self.judge(&reply))
    }

    /// As [`Link::call`], with the server's error reply kept apart, for a caller who knows what to do about it. Such a
    /// reply is to be given to [`Link::judge`] otherwise.
    pub(super) async fn ask(&self, cmd: &Cmd, until: Instant) -> Result<Result<Value, ServerError>, Error> {
        let connection = self.connected(until).await?;
        let value = self.answer(&connection, connection.wire().send_packed_command(cmd), until).await?;
        let error = fault::error_in(&value);
        self.heard(&connection, error);
        Ok(error.cloned().map_or(Ok(value), Err))
    }

    /// Sends commands in one go; a value or an error for each, in order. They are not a transaction: one that is answered
    /// with an error does not keep the others from being carried out. Kinds of errors and cancel safety are those of
    /// [`Link::call`].
    pub(super) async fn pipeline(
        &self,
        pipe: &Pipeline,
        deadline: Duration,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let until = Instant::now() + deadline;
        let connection = self.connected(until).await?;
        let mut wire = connection.wire();
        let values = self.answer(&connection, wire.send_packed_commands(pipe, 0, pipe.len()), until).await?;
        self.heard(&connection, values.iter().find_map(fault::error_in));
        let judged = |value| fault::error_in(&value).map(|reply| self.judge(reply)).map_or(Ok(value), Err);
        Ok(values.into_iter().map(judged).collect())
    }

    /// Sends a command that blocks in the server for at most `longest`. One at a time; a second waits for the first, so
    /// it is used on a link of its own.
    ///
    /// Errors as in [`Link::call`]. Cancel safety: dropping the future closes the connection, and so does the deadline
    /// (`longest` and 2 s more), for a server would go on blocking for a client that nobody listens to, and hand it what
    /// comes later. What the server had already taken for this call is lost with it.
    pub(super) async fn block(&self, cmd: &Cmd, longest: Duration) -> Result<Value, Error> {
        let until = Instant::now() + longest + BLOCK_MARGIN;
        let Ok(_one_at_a_time) = timeout_at(until, self.0.blocking.lock()).await else {
            return Err(Error::new(ErrorKind::Unreachable, "another call blocks this connection"));
        };
        let connection = self.connected(until).await?;
        let mut held = Held { link: self, connection: &connection, answered: false };
        let value = self.answer(&connection, connection.wire().send_packed_command(cmd), until).await?;
        held.answered = true;
        let error = fault::error_in(&value);
        self.heard(&connection, error);
        error.map(|reply| self.judge(reply)).map_or(Ok(value), Err)
    }

    /// Waits for what was sent, until the deadline or the connection's end.
    async fn answer<T>(
        &self,
        connection: &Connection,
        reply: impl Future<Output = Result<T, RedisError>>,
        until: Instant,
    ) -> Result<T, Error> {
        let sent = Instant::now();
        if sent >= until {
            return Err(fault::no_time_left(self.0.resolver.server()));
        }
        // Locks and short deadlines do not wait for a beat; and a call that blocks for seconds is no reason to beat.
        let precise = self.0.purpose != Purpose::Commands || until - sent < pulse::BEAT * 8;
        let call = (!precise).then(|| connection.pulse().call());
        let mut reply = pin!(reply);
        loop {
            let mut stirred = pin!(connection.pulse().stirred());
            stirred.as_mut().enable();
            if let Some(call) = &call {
                call.keep_beating();
            }
            let ended = connection.has_ended();
            tokio::select! {
                biased;
                value = reply.as_mut() => return value.map_err(|error| self.lost(connection, error)),
                // A command that is put into the connection's channel in the moment in which the other end goes is
                // neither sent nor given back: the client library would wait for its answer for ever.
                () = ready(()), if ended => {
                    return Err(self.lost(connection, io::Error::from(io::ErrorKind::BrokenPipe).into()));
                }
                () = stirred => {}
                () = sleep_until(until), if precise => {}
            }
            if Instant::now() >= until {
                break;
            }
        }
        Err(self.timed_out(connection, sent))
    }

    /// A connection, made now if there is none.
    async fn connected(&self, until: Instant) -> Result<Connection, Error> {
        // More than one turn only when the runtime that was connecting for us was shut down meanwhile.
        for _ in 0..3 {
            let next = self.0.state.borrow().next(Instant::now());
            match next {
                Next::Use(connection) => return Ok(connection),
                Next::Fail(error) => return Err(error),
                Next::Dial | Next::Wait => {}
            }
            let mut state = self.0.state.subscribe();
            self.dial();
            if timeout_at(until, state.wait_for(|state| !state.is_dialling())).await.is_err() {
                return Err(fault::still_dialling(self.0.resolver.server()));
            }
        }
        Err(fault::still_dialling(self.0.resolver.server()))
    }

    /// Starts an attempt to connect unless there is one. It has a task of its own, so that a caller with a short
    /// deadline does not end it.
    fn dial(&self) {
        let mut failures = 0;
        let begun = self.0.state.send_if_modified(|state| {
            let begin = matches!(state.next(Instant::now()), Next::Dial);
            if begin {
                failures = state.failures();
                *state = State::Dialling { failures };
            }
            begin
        });
        if begun {
            let attempt = Attempt { shared: Arc::clone(&self.0), failures, finished: false };
            tokio::spawn(attempt.run());
        }
    }

    /// What an error reply means to the caller.
    pub(super) fn judge(&self, reply: &ServerError) -> Error {
        fault::judge(reply, self.0.resolver.server())
    }

    /// An answer came. A server that says that it is the wrong one, or not ready, is given up: the right one may be
    /// elsewhere. One that says so to every new connection is left alone for longer and longer.
    fn heard(&self, connection: &Connection, error: Option<&ServerError>) {
        match error.filter(|reply| fault::wrong_server(reply)) {
            Some(reply) => self.0.give_up_on(connection, &self.judge(reply)),
            None => connection.heard(),
        }
    }

    /// The connection ended under a call.
    fn lost(&self, connection: &Connection, error: RedisError) -> Error {
        let error = fault::lost(self.0.resolver.server(), error);
        self.0.drop_connection(connection, &error);
        error
    }

    /// No answer in time; a peer that has been silent for long is taken for dead.
    fn timed_out(&self, connection: &Connection, sent: Instant) -> Error {
        let error = fault::timed_out(self.0.resolver.server());
        if connection.silent_for(sent) >= self.0.purpose.silence() {
            self.0.drop_connection(connection, &error);
        }
        error
    }
}

impl Shared {
    /// A connection has ended, or is as good as ended: the next call makes another. One that has never answered a call
    /// counts as a failed attempt, so that a server that accepts and hangs up is not dialled without a pause.
    fn drop_connection(&self, connection: &Connection, why: &Error) {
        if connection.has_answered() {
            self.replace(connection, |_| State::default());
        } else {
            self.give_up_on(connection, why);
        }
    }

    /// Drops a connection and waits a little before the next.
    fn give_up_on(&self, connection: &Connection, why: &Error) {
        self.replace(connection, |failures| self.down(failures, why));
    }

    fn down(&self, failures: u32, why: &Error) -> State {
        State::down(failures, why, Instant::now(), self.purpose.longest_pause(), fastrand::f64())
    }

    /// Changes the state if this connection is the current one; another's failure does not touch it.
    fn replace(&self, connection: &Connection, state_after: impl FnOnce(u32) -> State) {
        self.state.send_if_modified(|state| {
            let current = state.is(connection);
            if current {
                *state = state_after(state.failures());
            }
            current
        });
    }
}

/// One attempt to connect, and the only one who changes the state meanwhile. However its task ends, it does change it.
struct Attempt {
    shared: Arc<Shared>,
    failures: u32,
    finished: bool,
}

impl Attempt {
    async fn run(mut self) {
        let made = dial::dial(&self.shared.resolver, self.shared.name.as_deref()).await;
        self.finished = true;
        self.shared.state.send_replace(match made {
            Ok(connection) => State::Up { connection, failures: self.failures },
            Err(why) => self.shared.down(self.failures, &why),
        });
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.finished {
            self.shared.state.send_replace(State::Idle { failures: self.failures });
        }
    }
}

/// A connection with a blocking command on it.
struct Held<'a> {
    link: &'a Link,
    connection: &'a Connection,
    answered: bool,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.connection.close();
            self.link.0.replace(self.connection, |failures| State::Idle { failures });
        }
    }
}
