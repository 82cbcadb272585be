//! The one lock thread of a process.
//!
//! Managers share it: each is a task on a runtime of one thread. It ends with the last of them, and a later manager
//! gets a new one.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Keeps the lock thread alive, and hands it tasks.
#[derive(Debug, Clone)]
pub(crate) struct LockThread(UnboundedSender<Task>);

static SHARED: Mutex<Option<WeakUnboundedSender<Task>>> = Mutex::new(None);

impl LockThread {
    /// The thread of this process, started if it does not run.
    pub(crate) fn shared() -> io::Result<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let running = shared.as_ref().and_then(WeakUnboundedSender::upgrade);
        if let Some(tasks) = running.filter(|tasks| !tasks.is_closed()) {
            return Ok(Self(tasks));
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (tasks, queue) = unbounded_channel();
        std::thread::Builder::new().name("lariat-lock".into()).spawn(move || runtime.block_on(run(queue)))?;
        *shared = Some(tasks.downgrade());
        Ok(Self(tasks))
    }

    /// Runs a task there. False if the thread is gone.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        self.0.send(Box::pin(task)).is_ok()
    }
}

async fn run(mut queue: UnboundedReceiver<Task>) {
    while let Some(task) = queue.recv().await {
        drop(tokio::spawn(task));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_thread_is_shared_and_ends_with_its_last_user() {
        for _ in 0..2 {
            let (tell, told) = mpsc::channel();
            let first = LockThread::shared().unwrap();
            let second = LockThread::shared().unwrap();
            for thread in [&first, &second] {
                let tell = tell.clone();
                assert!(thread.spawn(async move {
                    tell.send(std::thread::current().id()).unwrap();
                    std::future::pending::<()>().await;
                }));
            }
            drop((first, tell));
            let minute = Duration::from_secs(60);
            assert_eq!(told.recv_timeout(minute).unwrap(), told.recv_timeout(minute).unwrap());
            drop(second);
            // The tasks never end, so only the end of their runtime can drop their senders.
            assert_eq!(told.recv_timeout(minute), Err(mpsc::RecvTimeoutError::Disconnected));
        }
    }
}
