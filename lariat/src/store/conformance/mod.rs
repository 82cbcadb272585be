//! What every store obeys, written against the seam. The two stores are given the same calls and asked the same questions.

mod walk;

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::change::AddJob;
use super::exchange::{Exchange, LaneCall, Lease, Settle, Transition};
use super::{EventStore, QueueBackend, Store};
use crate::id::{JobId, QueueName};
use crate::job::JobOptions;
use crate::time::Timestamp;

/// Long enough for a slow, busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Locks that do not lapse during a test.
const LOCK: Duration = Duration::from_secs(600);

/// One queue of one store.
struct Place {
    queue: Arc<dyn QueueBackend>,
    events: Arc<dyn EventStore>,
}

impl Place {
    fn open(url: &str, queue: &str) -> Place {
        let store = Store::open(url).unwrap();
        let name = QueueName::new(queue).unwrap();
        Place { queue: store.queue(&name, None).unwrap(), events: store.event_store(&name).unwrap() }
    }
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn job(name: &str, options: JobOptions, now: Timestamp) -> AddJob {
    AddJob { name: name.to_owned(), data: json(r#"{"n": 1}"#), options, timestamp: now }
}

fn exchange(number: u64, now: Timestamp, outcomes: Vec<Settle>, want: usize) -> Exchange {
    Exchange {
        call: LaneCall { base: "lane".into(), number },
        now,
        outcomes,
        want,
        lease: Lease { first: number * 100, lock_duration: LOCK, worker: Some("w".into()) },
        limiter: None,
        metrics: Some(500),
        wake_another: false,
    }
}

fn settle(id: &JobId, token: &str, to: Transition) -> Settle {
    Settle { id: id.clone(), token: token.into(), to }
}
