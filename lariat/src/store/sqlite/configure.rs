//! Changing how a queue is worked.

use std::sync::Arc;
use std::time::Duration;

use super::clock::ms;
use super::events::{self, Kind};
use super::fault::Fault;
use super::queue::QueueKey;
use super::tx::Tx;
use super::writer::{Turn, Writer};
use crate::error::Error;
use crate::job::JobState;
use crate::store::change::Setting;

/// What is counted as started when starts are suspended by hand.
pub(super) const BY_HAND: i64 = (1 << 53) - 1;

pub(super) async fn configure(
    writer: &Writer,
    key: &Arc<QueueKey>,
    setting: Setting,
    deadline: Duration,
) -> Result<(), Error> {
    let key = Arc::clone(key);
    writer.call(Turn::InOrder, deadline, move |tx| write(tx, &key, setting)).await
}

/// Deletes what a queue without jobs has left; false where it has jobs.
pub(super) async fn forget(writer: &Writer, key: &Arc<QueueKey>, deadline: Duration) -> Result<bool, Error> {
    let key = Arc::clone(key);
    writer
        .call(Turn::InOrder, deadline, move |tx| {
            let Some(row) = tx.find_queue(&key)? else { return Ok(true) };
            let queue = tx.state(row)?;
            if JobState::ALL.into_iter().any(|state| queue.count(state) > 0) {
                return Ok(false);
            }
            for table in ["event", "lane", "metric", "metric_total"] {
                tx.run(&format!("DELETE FROM lariat_{table} WHERE queue = ?1"), [row])?;
            }
            tx.forget_queue(&key, row)?;
            Ok(true)
        })
        .await
}

fn write(tx: &mut Tx<'_>, key: &QueueKey, setting: Setting) -> Result<(), Fault> {
    let row = tx.queue(key)?;
    let boot = tx.boot;
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let queue = tx.edit(row)?;
    match setting {
        Setting::Pause => queue.paused = true,
        Setting::Resume => queue.paused = false,
        Setting::Concurrency(most) => queue.concurrency = most.map(number),
        Setting::RateLimit(limit) => {
            queue.rate_max = limit.map(|limit| number(limit.max));
            queue.rate_ms = limit.map(|limit| ms(limit.duration));
        }
        Setting::Limited(Some(span)) => (queue.started, queue.started_until) = (BY_HAND, boot.saturating_add(ms(span))),
        Setting::Limited(None) => (queue.started, queue.started_until) = (0, 0),
    }
    match setting {
        Setting::Pause => events::emit(tx, row, Kind::Paused, None, None, None),
        Setting::Resume => events::emit(tx, row, Kind::Resumed, None, None, None),
        _ => Ok(()),
    }
}
