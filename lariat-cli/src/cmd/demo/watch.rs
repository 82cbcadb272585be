//! What the queue's event stream tells of each job, and when it was heard.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use lariat::{Error, EventKind, JobId, JobState, QueueEvent, QueueEvents, Store};
use tokio::sync::mpsc;

use super::judge::Told;

/// The pause before the stream is asked again when the store does not answer.
const PAUSE: Duration = Duration::from_millis(200);

/// What was heard of a queue's jobs so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    places: HashMap<JobId, usize>,
    pub(super) jobs: Vec<HeardOf>,
    /// When something was heard last.
    pub(super) last: Option<Instant>,
    /// Jobs that have ended.
    pub(super) ended: usize,
    /// The id of the last event.
    upto: String,
}

/// One job.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HeardOf {
    pub(super) told: Told,
    pub(super) started: Option<Instant>,
    pub(super) ended: Option<Instant>,
    /// When it was found that its worker is gone, first.
    pub(super) stalled: Option<Instant>,
}

impl Heard {
    /// These are the jobs to listen for, in their order. To be called before anything else is heard.
    pub(super) fn expect(&mut self, ids: &[JobId]) {
        self.jobs = vec![HeardOf::default(); ids.len()];
        self.places = ids.iter().cloned().enumerate().map(|(place, id)| (id, place)).collect();
    }

    pub(super) fn of(&self, id: &JobId) -> Option<&HeardOf> {
        self.jobs.get(self.place(id)?)
    }

    pub(super) fn place(&self, id: &JobId) -> Option<usize> {
        self.places.get(id).copied()
    }

    pub(super) fn take(&mut self, event: &QueueEvent, at: Instant) {
        self.upto.clone_from(&event.id);
        self.last = Some(at);
        let Some(job) = event.kind.job().and_then(|id| self.places.get(id)).and_then(|place| self.jobs.get_mut(*place))
        else {
            return;
        };
        match event.kind {
            EventKind::Active { .. } => {
                job.told.started += 1;
                job.started.get_or_insert(at);
            }
            EventKind::Completed { .. } => {
                job.told.completed += 1;
                self.ended += usize::from(job.ended.replace(at).is_none());
            }
            EventKind::Failed { .. } => {
                job.told.failed += 1;
                self.ended += usize::from(job.ended.replace(at).is_none());
            }
            // Put back by the worker itself, or because its worker was lost.
            EventKind::Waiting { from: Some(JobState::Active), .. } => job.told.returned += 1,
            EventKind::Stalled { .. } => {
                job.told.stalled += 1;
                job.stalled.get_or_insert(at);
            }
            _ => {}
        }
    }

    /// Whether the stream was heard up to this event.
    pub(super) fn has_heard(&self, id: &str) -> bool {
        let number = |id: &str| {
            let (ms, n) = id.split_once('-')?;
            Some((ms.parse::<u64>().ok()?, n.parse::<u64>().ok()?))
        };
        number(id) <= number(&self.upto)
    }
}

/// An event when it was heard, or why none can be heard.
pub(super) type News = Result<(QueueEvent, Instant), Error>;

/// Listens from now on. An error is passed on, and then it is tried again.
pub(super) async fn listen(store: &Store, queue: &str) -> Result<mpsc::UnboundedReceiver<News>, Error> {
    let mut events = QueueEvents::from_now(store, queue).await?;
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let news = events.next().await.map(|event| (event, Instant::now()));
            let pause = news.is_err();
            if tell.send(news).is_err() {
                return;
            }
            if pause {
                tokio::time::sleep(PAUSE).await;
            }
        }
    });
    Ok(told)
}

/// The id of the stream's last event.
pub(super) async fn end(store: &Store, queue: &str) -> Result<String, Error> {
    Ok(QueueEvents::from_now(store, queue).await?.last_id().to_owned())
}
