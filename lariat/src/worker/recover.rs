//! Looks for jobs whose worker is gone, in slices, at an interval.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::event::{Announcer, WorkerEvent};
use super::store::jittered;
use crate::error::{Error, chain};
use crate::store::QueueBackend;
use crate::store::exchange::Recover;
use crate::telemetry::{self, Cause};
use crate::time::Clock;

static FAILED: Cause = Cause::new();
static FOUND: Cause = Cause::new();

/// After a search that failed.
const AFTER_ERROR: Duration = Duration::from_secs(5);

pub(crate) struct Searcher {
    pub queue: Arc<str>,
    pub backend: Arc<dyn QueueBackend>,
    pub clock: Clock,
    pub interval: Duration,
    pub max_stalled: u32,
    pub say: Announcer,
    pub stop: CancellationToken,
}

impl Searcher {
    /// Searches at once, and then at each interval after the end of the search before, until it is stopped.
    pub(crate) async fn run(self) {
        loop {
            let queue = &*self.queue;
            let span = telemetry::operation!(telemetry::MOVE_STALLED_JOBS_TO_WAIT, queue);
            let pause = match self.search().instrument(span).await {
                Ok(()) => self.interval,
                Err(error) => {
                    if let Some(unsaid) = FAILED.may_say() {
                        tracing::warn!(
                            { telemetry::QUEUE } = queue,
                            { telemetry::ERROR } = chain(&error),
                            { telemetry::UNSAID } = unsaid,
                            "the search for stalled jobs failed"
                        );
                    }
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
            Recover { now: self.clock.now(), max_stalled: self.max_stalled, interval: self.interval, after: None };
        loop {
            let found = self.backend.recover(&recover).await?;
            if !found.ids.is_empty() {
                if let Some(unsaid) = FOUND.may_say() {
                    tracing::warn!(
                        { telemetry::QUEUE } = &*self.queue,
                        { telemetry::STALLED_JOBS } = found.ids.len(),
                        { telemetry::UNSAID } = unsaid,
                        "put stalled jobs back"
                    );
                }
                self.say.say(|| WorkerEvent::Stalled { ids: found.ids });
            }
            recover.after = match found.more {
                Some(cursor) if !self.stop.is_cancelled() => Some(cursor),
                _ => return Ok(()),
            };
            recover.now = self.clock.now();
        }
    }
}
