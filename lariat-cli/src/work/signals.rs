//! What the outside asks of a worker.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// TERM or INT, by number.
    Stop(u8),
    /// TSTP: take no new jobs.
    Quiet,
    /// CONT: go on.
    Resume,
    /// USR1: say what is running.
    Status,
}

/// The signals that a worker listens to, from the moment this is made.
#[derive(Debug)]
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
    tstp: Signal,
    cont: Signal,
    usr1: Signal,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Signals> {
        Ok(Signals {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            tstp: signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            cont: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
            usr1: signal(SignalKind::user_defined1())?,
        })
    }

    /// The next request. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.term.recv() => Request::Stop(15),
            _ = self.int.recv() => Request::Stop(2),
            _ = self.tstp.recv() => Request::Quiet,
            _ = self.cont.recv() => Request::Resume,
            _ = self.usr1.recv() => Request::Status,
        }
    }
}
