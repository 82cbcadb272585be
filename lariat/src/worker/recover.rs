//! Looks for jobs whose worker is gone, in slices, at an interval.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::event::{Announcer, WorkerEvent};
use super::store::jittered;
use crate::error::{Error, chain};
use crate::store::QueueBackend;
use crate::store::exchange::Recover;
use crate::time::Timestamp;

/// After a search that failed.
const AFTER_ERROR: Duration = Duration::from_secs(5);

pub(super) struct Searcher {
    pub queue: Arc<str>,
    pub backend: Arc<dyn QueueBackend>,
    pub interval: Duration,
    pub max_stalled: u32,
    pub say: Announcer,
    pub stop: CancellationToken,
}

impl Searcher {
    /// Searches at once, and then at each interval after the end of the search before, until it is stopped.
    pub(super) async fn run(self) {
        loop {
            let pause = match self.search().await {
                Ok(()) => self.interval,
                Err(error) => {
                    tracing::warn!(queue = &*self.queue, error = chain(&error), "the search for stalled jobs failed");
                    jittered(AFTER_ERROR.min(self.interval))
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn search(&self) -> Result<(), Error> {
        let mut recover =
            Recover { now: Timestamp::now(), max_stalled: self.max_stalled, interval: self.interval, after: None };
        loop {
            let found = self.backend.recover(&recover).await?;
            if !found.ids.is_empty() {
                tracing::warn!(queue = &*self.queue, jobs = found.ids.len(), "put stalled jobs back");
                self.say.say(|| WorkerEvent::Stalled { ids: found.ids });
            }
            recover.after = match found.more {
                Some(cursor) if !self.stop.is_cancelled() => Some(cursor),
                _ => return Ok(()),
            };
            recover.now = Timestamp::now();
        }
    }
}
