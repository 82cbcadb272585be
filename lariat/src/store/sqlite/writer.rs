//! The one thread that writes. It takes all requests that wait, carries each out in a savepoint of one transaction,
//! commits, and then answers all: under load many requests share one commit, and when idle one has it for itself.
//!
//! Renewals of locks go first, in a transaction of their own that is not synced. A request that was not begun within its
//! deadline is answered as not carried out, so a busy file costs no more than that.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use super::clock;
use super::fault::{Fault, explain, explain_commit, is_busy, named};
use super::file::{self, Identity};
use super::queue::QueueKey;
use super::tx::{Memory, Tx, data_version};
use super::wake::{Pace, Signal, Wakes};
use super::{layout, open};
use crate::error::{Error, ErrorKind};
use crate::store::url::{Durability, SqliteAddress, SqlitePlace};
use crate::time::Timestamp;

/// Most requests of one transaction.
const MOST_TOGETHER: usize = 256;
/// First pause when somebody else writes; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// How long the thread looks out for the next request before it goes to sleep, where the one before came within that time:
/// to fall asleep and to be woken takes longer than many a request. One that comes seldom costs no look-out.
const LOOK_OUT: Duration = Duration::from_micros(60);

/// Something to be done in a transaction, and whom to tell.
trait Request: Send {
    /// Not to be begun later.
    fn until(&self) -> Instant;
    /// Does it, and keeps what came of it. An error undoes what it wrote.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), ()>;
    /// The transaction was committed; or it was not, and why.
    fn answer(self: Box<Self>, failed: Option<&Error>);
}

struct Call<T, F> {
    until: Instant,
    work: F,
    result: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<T: Send, F: FnMut(&mut Tx<'_>) -> Result<T, Fault> + Send> Request for Call<T, F> {
    fn until(&self) -> Instant {
        self.until
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), ()> {
        let result = (self.work)(tx).map_err(Error::from);
        let failed = result.is_err();
        self.result = Some(result);
        if failed { Err(()) } else { Ok(()) }
    }

    fn answer(self: Box<Self>, failed: Option<&Error>) {
        let answer = match (self.result, failed) {
            // Its own words where it has failed by itself.
            (Some(Err(error)), _) => Err(error),
            (_, Some(error)) => Err(error.echo()),
            (Some(result), None) => result,
            (None, None) => Err(Error::new(ErrorKind::Unreachable, "the store has been closed")),
        };
        // Whoever dropped the call does not want to know.
        drop(self.reply.send(answer));
    }
}

/// The way to the writer. Dropping it ends the thread, once what waits has been done.
pub(super) struct Writer {
    shared: Arc<Shared>,
}

/// Which requests go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Renewals: locks must not lapse behind a crowd of adds.
    First,
    InOrder,
}

struct Shared {
    address: SqliteAddress,
    inbox: Mutex<Inbox>,
    bell: Condvar,
    /// The inbox is not empty; read without its lock.
    called: AtomicBool,
    /// The file was opened once, so that it is known here which one it is.
    opened: AtomicBool,
    wakes: Wakes,
}

#[derive(Default)]
struct Inbox {
    first: VecDeque<Box<dyn Request>>,
    in_order: VecDeque<Box<dyn Request>>,
    running: bool,
    /// The thread that was started last.
    thread: Option<ThreadId>,
    closed: bool,
    /// Somebody else in this process is about to commit something.
    look_soon: bool,
}

/// What is to be done next.
struct Waiting {
    first: Vec<Box<dyn Request>>,
    in_order: Vec<Box<dyn Request>>,
}

impl Waiting {
    fn fail(self, error: &Error) {
        fail(self.first, error);
        fail(self.in_order, error);
    }
}

impl Writer {
    /// No I/O: the thread is started, and the file opened, by the first call or watch.
    pub(super) fn new(address: SqliteAddress) -> Writer {
        let (inbox, bell, wakes) = (Mutex::default(), Condvar::new(), Wakes::default());
        let (called, opened) = (AtomicBool::new(false), AtomicBool::new(false));
        Writer { shared: Arc::new(Shared { address, inbox, bell, called, opened, wakes }) }
    }

    /// Tells of every change of a queue from here on, also of those that other processes make. What it holds at first
    /// may be old.
    pub(super) fn watch(&self, key: &QueueKey) -> watch::Receiver<Signal> {
        let signals = self.shared.wakes.watch(key);
        // A thread that rests, since nobody watched so far, is to look at the file from now on. With the lock, so that it
        // is not just about to rest. Where none can be started, a wait ends by its own time.
        drop(self.shared.start(&mut self.shared.inbox()));
        self.shared.bell.notify_one();
        signals
    }

    /// A commit on another connection is near, or has just been made: whether there is something new is looked at often from
    /// now on, as after a commit of our own. Whoever does not wait for anything is not woken.
    pub(super) fn look_soon(&self) {
        let mut inbox = self.shared.inbox();
        inbox.look_soon = inbox.running;
        drop(inbox);
        self.shared.bell.notify_one();
    }

    /// Has `work` done in a transaction; the answer comes after its commit. Where it does not begin within `deadline` it
    /// is not done. Dropping the future does not stop it.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        turn: Turn,
        deadline: Duration,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let until = Instant::now() + deadline;
        self.shared.submit(turn, Box::new(Call { until, work, result: None, reply }))?;
        answer
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Unknown, "the thread that writes the file has ended")))
            .map_err(|error| named(error, &self.shared.address))
    }

    /// Whether the writer has ever opened the file, and so notices when it is taken away.
    pub(super) fn has_opened(&self) -> bool {
        self.shared.opened.load(Ordering::Acquire)
    }

    pub(super) fn address(&self) -> &SqliteAddress {
        &self.shared.address
    }
}

/// How long whoever drops the last handle waits for the file to be closed.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// The last handle is gone: what waits is done, then the file is closed. That is waited for, since a program that ends sooner
/// leaves the newest jobs in the WAL, where a copy of the file alone would miss them.
impl Drop for Writer {
    fn drop(&mut self) {
        let mut inbox = self.shared.inbox();
        inbox.closed = true;
        self.shared.bell.notify_all();
        let elsewhere = inbox.thread != Some(std::thread::current().id());
        let ends = self.shared.bell.wait_timeout_while(inbox, LAST_WAIT, |inbox| inbox.running && elsewhere);
        drop(ends.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(self: &Arc<Self>, turn: Turn, request: Box<dyn Request>) -> Result<(), Error> {
        let mut inbox = self.inbox();
        self.start(&mut inbox)
            .map_err(|e| Error::new(ErrorKind::Store, "no thread could be started to write the file").because(e))?;
        match turn {
            Turn::First => inbox.first.push_back(request),
            Turn::InOrder => inbox.in_order.push_back(request),
        }
        self.called.store(true, Ordering::Release);
        drop(inbox);
        self.bell.notify_one();
        Ok(())
    }

    fn open(&self) -> Result<Opened, Error> {
        let file = Opened::open(&self.address)?;
        self.opened.store(true, Ordering::Release);
        Ok(file)
    }

    /// Starts the thread where there is none.
    fn start(self: &Arc<Self>, inbox: &mut Inbox) -> std::io::Result<()> {
        if !inbox.running {
            let shared = Arc::clone(self);
            let thread =
                std::thread::Builder::new().name("lariat-sqlite".into()).spawn(move || Running(shared).run())?;
            (inbox.running, inbox.thread) = (true, Some(thread.thread().id()));
        }
        Ok(())
    }

    /// What waits, at most `MOST_TOGETHER` of each; nothing when it is time for a look at the file; None when there will be
    /// nothing any more.
    fn next(&self, pace: &mut Pace) -> Option<Waiting> {
        let mut inbox = self.inbox();
        if inbox.first.is_empty() && inbox.in_order.is_empty() && !inbox.look_soon {
            if inbox.closed {
                return None;
            }
            inbox = if self.wakes.is_watched() {
                self.bell.wait_timeout(inbox, pace.next()).unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.bell.wait(inbox).unwrap_or_else(PoisonError::into_inner)
            };
        }
        if std::mem::take(&mut inbox.look_soon) {
            pace.busy();
        }
        let Inbox { first, in_order, .. } = &mut *inbox;
        let some = |from: &mut VecDeque<_>| from.drain(..from.len().min(MOST_TOGETHER)).collect();
        let waiting = Waiting { first: some(first), in_order: some(in_order) };
        self.called.store(!first.is_empty() || !in_order.is_empty(), Ordering::Relaxed);
        Some(waiting)
    }

    /// Waits a moment for a request without going to sleep.
    fn look_out(&self) {
        let until = Instant::now() + LOOK_OUT;
        while !self.called.load(Ordering::Acquire) && Instant::now() < until {
            std::thread::yield_now();
        }
    }

    /// A pause that ends sooner when a request comes.
    fn pause(&self, pause: Duration) {
        drop(self.bell.wait_timeout(self.inbox(), pause).unwrap_or_else(PoisonError::into_inner));
    }
}

/// The thread's hold on what it shares. When it ends, however it ends, the next call starts another.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        let mut inbox = self.0.inbox();
        inbox.running = false;
        self.0.bell.notify_all();
        let left: Vec<_> = inbox.first.drain(..).collect();
        let left: Vec<_> = left.into_iter().chain(inbox.in_order.drain(..)).collect();
        drop(inbox);
        // Dropped without an answer, which reads as unknown.
        drop(left);
    }
}

impl Running {
    fn run(self) {
        let shared = &*self.0;
        let (mut file, mut memory, mut pace) = (None::<Opened>, Memory::default(), Pace::default());
        let mut brisk = false;
        loop {
            let idle = Instant::now();
            if brisk {
                shared.look_out();
            }
            let Some(waiting) = shared.next(&mut pace) else { return };
            let nothing = waiting.first.is_empty() && waiting.in_order.is_empty();
            brisk = !nothing && idle.elapsed() < LOOK_OUT;
            if nothing {
                if file.is_none() && shared.wakes.is_watched() {
                    // Whoever is to be answered is told why it cannot be opened.
                    file = shared.open().ok();
                }
                let look = |file: &Opened| poll(&file.connection, &mut memory, &shared.wakes);
                pace.looked(file.as_ref().is_some_and(look));
                continue;
            }
            if file.as_ref().is_some_and(|file| file.is_gone(&shared.address)) {
                (file, memory) = (None, Memory::default());
                waiting.fail(&file::gone());
                continue;
            }
            let connection = match &file {
                Some(file) => &file.connection,
                None => match shared.open() {
                    Ok(opened) => &file.insert(opened).connection,
                    Err(error) => {
                        waiting.fail(&error);
                        continue;
                    }
                },
            };
            pace.busy();
            let mut batch = Batch { shared, connection, memory: &mut memory };
            if let Err(error) = batch.carry_out_unsynced(waiting.first) {
                // Nothing may be answered that is not as durable as was asked for.
                (file, memory) = (None, Memory::default());
                fail(waiting.in_order, &error);
                continue;
            }
            batch.carry_out(waiting.in_order);
        }
    }
}

/// The file as it was opened.
struct Opened {
    connection: Connection,
    identity: Option<Identity>,
}

impl Opened {
    fn open(address: &SqliteAddress) -> Result<Opened, Error> {
        let connection = open::writer(address)?;
        // From here on waiting is done by the batch, which knows its deadlines.
        connection.busy_timeout(Duration::ZERO).map_err(explain)?;
        Ok(Opened { connection, identity: identity(address) })
    }

    /// Whether its path leads to another file by now, or to none.
    fn is_gone(&self, address: &SqliteAddress) -> bool {
        self.identity != identity(address)
    }
}

fn identity(address: &SqliteAddress) -> Option<Identity> {
    match &address.place {
        SqlitePlace::Memory => None,
        SqlitePlace::File(path) => Identity::of(path),
    }
}

fn fail(requests: Vec<Box<dyn Request>>, error: &Error) {
    for request in requests {
        request.answer(Some(error));
    }
}

/// Takes those out that are not to be begun any more.
fn fail_late(left: &mut VecDeque<Box<dyn Request>>) {
    let now = Instant::now();
    if left.iter().all(|request| request.until() > now) {
        return;
    }
    let (late, still): (Vec<_>, Vec<_>) = left.drain(..).partition(|request| request.until() <= now);
    left.extend(still);
    fail(late, &Error::new(ErrorKind::Unreachable, "the file was in use for as long as this call could wait"));
}

/// Whether somebody else has written since; those who wait are told what they want to know.
fn poll(connection: &Connection, memory: &mut Memory, wakes: &Wakes) -> bool {
    // A look that fails is made again.
    let Ok(version) = data_version(connection) else { return false };
    if !memory.renew(version) {
        return false;
    }
    wakes.publish(connection, memory);
    true
}

struct Batch<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    memory: &'a mut Memory,
}

impl Batch<'_> {
    /// Renewals wait for no disk, except behind a commit that has begun: after a power cut there is another boot, and no
    /// lock of this one counts. Not for anything else. An error where syncs could not be taken up again.
    fn carry_out_unsynced(&mut self, requests: Vec<Box<dyn Request>>) -> Result<(), Error> {
        if requests.is_empty() {
            return Ok(());
        }
        open::sync(self.connection, Durability::Normal)?;
        self.carry_out(requests);
        open::sync(self.connection, self.shared.address.durability)
    }

    fn carry_out(&mut self, requests: Vec<Box<dyn Request>>) {
        let mut left = VecDeque::from(requests);
        while self.begin(&mut left) {
            let mut done = Vec::with_capacity(left.len());
            match self.run(&mut left, &mut done) {
                Ok(()) => self.shared.wakes.publish(self.connection, self.memory),
                Err(error) => {
                    self.give_up();
                    fail(std::mem::take(&mut done), &error);
                }
            }
            for request in done {
                request.answer(None);
            }
        }
    }

    /// Begins a transaction; false when there is no request left to begin one for.
    fn begin(&mut self, left: &mut VecDeque<Box<dyn Request>>) -> bool {
        let mut pause = FIRST_PAUSE;
        fail_late(left);
        while !left.is_empty() {
            let begun = self.step("BEGIN IMMEDIATE").and_then(|()| self.memory.begin(self.connection));
            let error = match begun {
                Ok(renewed) => match renewed.then(|| layout::check_version(self.connection)).transpose() {
                    Ok(_) => return true,
                    Err(error) => {
                        self.give_up();
                        fail(left.drain(..).collect(), &error);
                        return false;
                    }
                },
                Err(error) => error,
            };
            self.give_up();
            if is_busy(&error) {
                self.shared.pause(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
                fail_late(left);
            } else {
                fail(left.drain(..).collect(), &explain(error));
            }
        }
        false
    }

    /// Nothing of the transaction, and of what is remembered of it, holds.
    fn give_up(&mut self) {
        self.memory.forget();
        if !self.connection.is_autocommit() {
            // What cannot be rolled back shows with the next BEGIN.
            drop(self.connection.execute_batch("ROLLBACK"));
        }
    }

    /// Runs the requests in the transaction and commits. Those in `done` share its fate; those still `left` are for
    /// another one.
    fn run(&mut self, left: &mut VecDeque<Box<dyn Request>>, done: &mut Vec<Box<dyn Request>>) -> Result<(), Error> {
        let alone = left.len() == 1;
        let (wall, boot) = (Timestamp::now().as_millis(), clock::boot_ms());
        while !left.is_empty() {
            if !alone {
                self.step("SAVEPOINT request").map_err(explain)?;
            }
            let Some(mut request) = left.pop_front() else { break };
            self.memory.mark();
            let ran = request.run(&mut Tx::new(self.connection, self.memory, wall, boot));
            done.push(request);
            if self.connection.is_autocommit() {
                return Err(Error::new(ErrorKind::Unreachable, "another call of the same commit failed"));
            }
            match ran {
                Ok(()) if alone => {}
                Ok(()) => self.step("RELEASE request").map_err(explain)?,
                Err(()) if alone => {
                    self.memory.undo();
                    return Err(Error::new(ErrorKind::Unreachable, "the call failed"));
                }
                Err(()) => {
                    self.memory.undo();
                    self.step("ROLLBACK TO request").map_err(explain)?;
                    self.step("RELEASE request").map_err(explain)?;
                }
            }
        }
        self.memory.write(self.connection).map_err(explain)?;
        self.step("COMMIT").map_err(explain_commit)
    }

    fn step(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}
