//! One connection: a thread for requests, a thread for replies, and between them which reply has which fault.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Fault, Shared, frame};

struct Link {
    client: TcpStream,
    server: TcpStream,
    shared: Arc<Shared>,
    /// The number of a request on this connection, and what is to happen to its reply.
    due: Mutex<BTreeMap<u64, Fault>>,
    swallow_requests: AtomicBool,
    swallow_replies: AtomicBool,
}

/// Connects to the target and starts the two threads.
pub(super) fn connect(number: usize, client: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let server = TcpStream::connect(shared.target).inspect_err(|_| close(&client))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    shared.lock().open.push((number, client.try_clone()?, server.try_clone()?));
    let link = Arc::new(Link {
        client,
        server,
        shared: Arc::clone(shared),
        due: Mutex::default(),
        swallow_requests: AtomicBool::new(false),
        swallow_replies: AtomicBool::new(false),
    });
    let requests = Arc::clone(&link);
    let requests = std::thread::Builder::new().name("proxy requests".into()).spawn(move || requests.requests())?;
    std::thread::Builder::new().name("proxy replies".into()).spawn(move || {
        // Errors are the fault injection's daily bread: either side gone ends the connection.
        let _ = link.replies();
        // A client that only waits learns from this that its server is gone; its own end then ends the other thread.
        let _ = link.client.shutdown(Shutdown::Write);
        close(&link.server);
        let _ = requests.join();
        close(&link.client);
        link.shared.lock().open.retain(|(other, ..)| *other != number);
    })?;
    Ok(())
}

/// Ends both directions; a stream that is closed already is fine.
pub(super) fn close(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

impl Link {
    fn requests(&self) {
        // However it ends, the server is told that no more requests come; its last replies still go to the client.
        if self.forward_requests().is_err() {
            close(&self.server);
            close(&self.client);
        } else {
            let _ = self.server.shutdown(Shutdown::Write);
        }
    }

    fn forward_requests(&self) -> io::Result<()> {
        let mut number = 0;
        each_frame(&self.client, |request| {
            let fault = self.shared.judge(request);
            match fault {
                Some(Fault::LoseRequest) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Some(Fault::HoldRequest) => self.shared.await_release(),
                Some(Fault::BlackHole) => {
                    self.swallow_requests.store(true, Ordering::SeqCst);
                    self.swallow_replies.store(true, Ordering::SeqCst);
                }
                _ => {}
            }
            if self.shared.may_pass() && !self.swallow_requests.load(Ordering::SeqCst) {
                // Noted before it is sent: the reply may be quicker than we are.
                if let Some(fault) = fault {
                    self.due().insert(number, fault);
                }
                number += 1;
                (&self.server).write_all(request)?;
            }
            Ok(())
        })
    }

    fn due(&self) -> MutexGuard<'_, BTreeMap<u64, Fault>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replies(&self) -> io::Result<()> {
        let mut number = 0;
        each_frame(&self.server, |reply| {
            let fault = if frame::is_push(reply) {
                None
            } else {
                number += 1;
                self.due().remove(&(number - 1))
            };
            match fault {
                Some(Fault::LoseReply) => {
                    close(&self.client);
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Some(Fault::HalfClose) => {
                    self.client.shutdown(Shutdown::Write)?;
                    self.swallow_replies.store(true, Ordering::SeqCst);
                }
                Some(Fault::HoldReply) => self.shared.await_release(),
                Some(Fault::DelayReply(by)) => std::thread::sleep(by),
                _ => {}
            }
            if self.shared.may_pass() && !self.swallow_replies.load(Ordering::SeqCst) {
                (&self.client).write_all(reply)?;
            }
            Ok(())
        })
    }
}

/// Calls `act` with each whole message until the stream ends.
fn each_frame(mut stream: &TcpStream, mut act: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut part = vec![0; 64 * 1024];
    loop {
        let read = stream.read(&mut part)?;
        if read == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&part[..read]);
        let mut done = 0;
        while let Some(length) = frame::length(&bytes[done..]) {
            act(&bytes[done..done + length])?;
            done += length;
        }
        bytes.drain(..done);
    }
}
