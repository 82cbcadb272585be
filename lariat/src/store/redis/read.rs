//! Reading one job and its log, and the queue as a whole.

use std::time::Duration;

use redis::Value;

use super::args::{number, text};
use super::codec;
use super::connect::Link;
use super::keys::Keys;
use super::page::place;
use super::reply::{self, bad_reply};
use super::script::Script;
use crate::error::{Error, ErrorKind};
use crate::id::JobId;
use crate::job::{JobState, StoredJob};
use crate::store::exchange::RateLimit;
use crate::store::view::{Counts, LogPage, Metrics, Overview};

/// What BullMQ counts as started when starts are suspended by hand.
const BY_HAND: u64 = (1 << 53) - 1;

pub(super) async fn job(link: &Link, keys: &Keys, id: &JobId, deadline: Duration) -> Result<Option<StoredJob>, Error> {
    let value = Script::named("job")?.run(link, &[&keys.base], &[id.as_str()], deadline).await?;
    let [record, state] = reply::parts(&value)? else { return Err(bad_reply("a job without a state")) };
    let fields = reply::parts(record)?;
    if fields.is_empty() {
        return Ok(None);
    }
    let record = codec::record(id, reply::pairs(fields)?);
    let record = record.map_err(|why| Error::new(ErrorKind::Data, why).for_job(id))?;
    let name = reply::text(state)?;
    let state = JobState::ALL.into_iter().find(|state| state.as_str() == name);
    Ok(Some(StoredJob { record: *record, state }))
}

pub(super) async fn logs(
    link: &Link,
    keys: &Keys,
    id: &JobId,
    from: u64,
    count: u64,
    deadline: Duration,
) -> Result<LogPage, Error> {
    let args = [text(id.as_str()), place(from), place(count)];
    let value = Script::named("logs")?.run(link, &[&keys.base], &args, deadline).await?;
    let [total, rows] = reply::parts(&value)? else { return Err(bad_reply("a log of another shape")) };
    let rows = reply::parts(rows)?.iter().map(reply::text).collect::<Result<_, _>>()?;
    Ok(LogPage { rows, total: reply::count(total)? })
}

pub(super) async fn overview(link: &Link, keys: &Keys, deadline: Duration) -> Result<Overview, Error> {
    let value = Script::named("overview")?.run::<_, &[u8]>(link, &[&keys.base], &[], deadline).await?;
    let Some((counts, limits)) = reply::parts(&value)?.split_at_checked(8) else {
        return Err(bad_reply("another number of counts"));
    };
    let counts = counts.iter().map(reply::count).collect::<Result<Vec<_>, _>>()?;
    let [paused, waiting, active, delayed, prioritized, completed, failed, waiting_children] = counts[..] else {
        return Err(bad_reply("another number of counts"));
    };
    let [concurrency, max, duration, started, life] = limits else { return Err(bad_reply("other limits")) };
    let counts = Counts { waiting, active, delayed, prioritized, completed, failed, waiting_children };
    let max = limit(max);
    Ok(Overview {
        paused: paused > 0,
        counts,
        concurrency: limit(concurrency),
        rate_limit: max.zip(limit(duration)).map(|(max, ms)| RateLimit { max, duration: Duration::from_millis(ms) }),
        limited_for: limited_for(max, limit(started), reply::count(life)?),
    })
}

/// A number that somebody has set; what is none, or none that limits anything, counts as not set.
fn limit(value: &Value) -> Option<u64> {
    codec::whole(reply::double(value)).filter(|number| *number > 0)
}

/// Starts wait while as many as may start have been counted, or while somebody has filled the count by hand.
fn limited_for(max: Option<u64>, started: Option<u64>, life: u64) -> Option<Duration> {
    let reached = started? >= max.unwrap_or(BY_HAND).min(BY_HAND);
    (reached && life > 0).then(|| Duration::from_millis(life))
}

pub(super) async fn priorities(
    link: &Link,
    keys: &Keys,
    priorities: &[u32],
    deadline: Duration,
) -> Result<Vec<u64>, Error> {
    let args: Vec<_> = priorities.iter().map(number).collect();
    let value = Script::named("priorities")?.run(link, &[&keys.base], &args, deadline).await?;
    reply::parts(&value)?.iter().map(reply::count).collect()
}

pub(super) async fn metrics(
    link: &Link,
    keys: &Keys,
    state: JobState,
    count: u64,
    deadline: Duration,
) -> Result<Metrics, Error> {
    let args = [text(state.as_str()), place(count)];
    let value = Script::named("minutes")?.run(link, &[&keys.base], &args, deadline).await?;
    let [total, written, minutes] = reply::parts(&value)? else { return Err(bad_reply("metrics of another shape")) };
    let number = |value: &Value| codec::whole(reply::double(value)).unwrap_or(0);
    Ok(Metrics {
        total: number(total),
        per_minute: reply::parts(minutes)?.iter().map(number).collect(),
        written: reply::instant(written),
    })
}
