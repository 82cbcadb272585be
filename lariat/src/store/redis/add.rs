//! Adding jobs.

use std::time::Duration;

use redis::Value;
use rmp_serde::Deserializer;
use serde::Deserialize;

use super::args::{Arg, lane_number, ms, number, owned, text};
use super::connect::Link;
use super::keys::Keys;
use super::reply::{self, Text, bad_reply};
use super::script::Script;
use crate::error::{Error, ErrorKind, Refusal};
use crate::id::JobId;
use crate::store::change::Add;
use crate::store::options;

/// How long the answer to a lane's last add is kept. Nobody repeats an add for so long.
const LANE_LIFE: Duration = Duration::from_secs(600);

pub(super) async fn add(
    link: &Link,
    keys: &Keys,
    add: &Add,
    deadline: Duration,
) -> Result<Vec<Result<JobId, Refusal>>, Error> {
    let lane = keys.lane(&add.call.base);
    let value = Script::named("add")?.run(link, &[keys.base.as_str(), &lane], &arguments(add), deadline).await?;
    decode(&value, add.jobs.len())
}

fn arguments(add: &Add) -> Vec<Arg<'_>> {
    let mut args = Vec::with_capacity(2 + 8 * add.jobs.len());
    args.push(lane_number(add.call.number));
    args.push(ms(LANE_LIFE));
    for job in &*add.jobs {
        args.extend([
            text(job.options.id.as_ref().map_or("", JobId::as_str)),
            text(&job.name),
            text(job.data.get()),
            owned(options::encode(&job.options)),
            number(job.timestamp.as_millis()),
            ms(job.options.delay),
            number(job.options.priority),
            text(if job.options.lifo { "1" } else { "" }),
        ]);
    }
    args
}

fn decode(value: &Value, jobs: usize) -> Result<Vec<Result<JobId, Refusal>>, Error> {
    let mut parts = Deserializer::from_read_ref(reply::bytes(value)?);
    let mut read = || -> Result<_, rmp_serde::decode::Error> {
        Ok((Text::deserialize(&mut parts)?, Vec::<Text<'_>>::deserialize(&mut parts)?))
    };
    let (how, ids) = read().map_err(|e| bad_reply("MessagePack of another shape").because(e))?;
    if how.0 == b"stale" {
        return Err(Error::new(ErrorKind::Unknown, "a newer add of the same producer has been answered already"));
    }
    if ids.len() != jobs {
        return Err(bad_reply("another number of ids than of jobs"));
    }
    ids.iter().map(|id| JobId::existing(id.to_string()).map(Ok)).collect()
}
