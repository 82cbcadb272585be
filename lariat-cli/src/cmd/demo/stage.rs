//! Where the demo's jobs live: a file of their own, or a queue of their own in the store that was named.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lariat::{ErrorKind, JobState, Prefix, Queue, Refusal, Store};
use tempfile::TempDir;

use super::worker::Orders;
use crate::args::StoreArgs;
use crate::failure::Failure;
use crate::store;

/// The name of the queue in a file of its own.
const QUEUE: &str = "demo";
const FILE: &str = "demo.db";

/// Jobs that are looked at in one call while they are removed.
const AT_A_TIME: u64 = 500;
/// The pause while jobs are still locked.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Stage {
    pub(super) store: Store,
    pub(super) queue: Queue,
    url: String,
    /// The folder of a file of its own.
    folder: Option<TempDir>,
}

impl Stage {
    /// Finds a place, and makes sure that it can be used.
    pub(super) async fn set(args: &StoreArgs) -> Result<Stage, Failure> {
        let (url, name, folder) = match store::named(args) {
            Some(url) if url.starts_with("sqlite::memory:") => {
                let words = "the demo's workers are processes of their own, which cannot share a store in memory";
                return Err(Failure::usage(format!("--store {url}: {words}; name a file or a server")));
            }
            Some(url) => (url.to_owned(), own_name(), None),
            None => {
                let folder = tempfile::Builder::new().prefix("lariat-demo-").tempdir();
                let folder = folder.map_err(|e| Failure::failed(format!("cannot make a temporary folder: {e}")))?;
                (file_url(&folder.path().join(FILE))?, QUEUE.to_owned(), Some(folder))
            }
        };
        let store = Store::open(&url)?.with_prefix(Prefix::new(args.prefix.as_str())?);
        store.ping().await?;
        Ok(Stage { queue: Queue::new(&store, &name)?, store, url, folder })
    }

    /// What a worker has to know of it.
    pub(super) fn orders(&self, name: String, rest: &super::Terms) -> Orders {
        Orders {
            store: self.url.clone(),
            prefix: self.store.prefix().to_string(),
            queue: self.queue.name().to_string(),
            name,
            concurrency: rest.concurrency,
            lock: rest.lock,
            lock_renew: rest.lock_renew,
            stalled_interval: rest.stalled_interval,
            max_stalled: rest.max_stalled,
        }
    }

    /// Removes what the demo has made. To be called when the workers have ended.
    pub(super) async fn clear(self) -> Result<(), Failure> {
        let Stage { store, queue, folder, .. } = self;
        if let Some(folder) = folder {
            // Nothing has the file open any more.
            drop((queue, store));
            return folder.close().map_err(|e| Failure::failed(format!("cannot remove the temporary folder: {e}")));
        }
        remove_jobs(&queue).await?;
        queue.forget().await?;
        Ok(())
    }

    /// Leaves it; how to look at it.
    pub(super) fn keep(self) -> String {
        let Stage { queue, url, store, folder } = self;
        match folder {
            Some(folder) => {
                let _ = folder.keep();
                format!("kept: lariat --store {url} queue stats {}", queue.name())
            }
            None => format!("kept: lariat --store {store} queue stats {}", queue.name()),
        }
    }
}

/// Removes job after job: a job that is still locked, by a worker that was killed, as soon as its lock has lapsed.
async fn remove_jobs(queue: &Queue) -> Result<(), Failure> {
    loop {
        let mut locked = 0;
        let mut removed = 0;
        for state in JobState::ALL {
            for job in queue.jobs(state, 0, AT_A_TIME).await?.jobs {
                match queue.edit(&job.id).remove().await {
                    Ok(()) => removed += 1,
                    Err(error) if error.kind() == ErrorKind::Refused(Refusal::LockTaken) => locked += 1,
                    Err(error) if error.kind() == ErrorKind::Refused(Refusal::MissingJob) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        match (removed, locked) {
            (0, 0) => return Ok(()),
            (0, _) => tokio::time::sleep(PAUSE).await,
            _ => {}
        }
    }
}

/// A name that nobody else has.
fn own_name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("lariat-demo-{}-{}", std::process::id(), now.as_millis())
}

fn file_url(file: &Path) -> Result<String, Failure> {
    let path = file.to_str().ok_or_else(|| {
        Failure::failed(format!("the folder for temporary files, {}, has a name that is no text", file.display()))
    })?;
    Ok(format!("sqlite:{}", path.replace('%', "%25").replace('?', "%3F")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_url_is_that_of_the_file() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("100%?.db");
        let store = Store::open(&file_url(&file).unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(store.ping()).unwrap();
        assert!(file.is_file());
    }
}
