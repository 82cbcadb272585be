//! The tail of a queue's event stream.

use std::time::Duration;

use redis::Value;

use super::connect::{Link, Purpose};
use super::keys::Keys;
use super::reply::{self, bad_reply};
use super::{Answer, EventStore, PATIENCE};
use crate::error::Error;
use crate::store::url::Address;
use crate::store::view::{StoredEvent, StoredEvents};

/// One listener's connection. XREAD takes nothing away, so losing a reply loses no event.
pub(super) struct RedisEvents {
    link: Link,
    stream: String,
}

impl RedisEvents {
    pub(super) fn new(address: Address, keys: &Keys) -> RedisEvents {
        RedisEvents { link: Link::new(address, Purpose::Waiting, Some(keys.listener_name())), stream: keys.events() }
    }

    async fn end(&self) -> Result<StoredEvents, Error> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(&self.stream).arg("+").arg("-").arg("COUNT").arg(1);
        let newest = entries(&self.link.call(&command, PATIENCE).await?)?;
        let upto = newest.into_iter().next().map_or_else(|| "0-0".to_owned(), |event| event.id);
        Ok(StoredEvents { events: Vec::new(), upto })
    }

    async fn behind(&self, after: &str, most: usize, wait: Duration) -> Result<StoredEvents, Error> {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(most.max(1));
        let value = if wait < Duration::from_millis(1) {
            command.arg("STREAMS").arg(&self.stream).arg(after);
            self.link.call(&command, PATIENCE).await?
        } else {
            // A time of 0 would be for ever.
            let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            command.arg("BLOCK").arg(ms).arg("STREAMS").arg(&self.stream).arg(after);
            self.link.block(&command, wait).await?
        };
        let events = of_one_stream(&value)?.map(entries).transpose()?.unwrap_or_default();
        let upto = events.last().map_or_else(|| after.to_owned(), |event| event.id.clone());
        Ok(StoredEvents { events, upto })
    }
}

impl EventStore for RedisEvents {
    fn events<'a>(&'a self, after: Option<&'a str>, most: usize, wait: Duration) -> Answer<'a, StoredEvents> {
        Box::pin(async move {
            match after {
                None => self.end().await,
                Some(after) => self.behind(after, most, wait).await,
            }
        })
    }
}

/// The entries of the one stream that was asked for; nothing came where there are none.
fn of_one_stream(value: &Value) -> Result<Option<&Value>, Error> {
    match value {
        Value::Nil => Ok(None),
        Value::Map(streams) => Ok(streams.first().map(|(_, entries)| entries)),
        Value::Array(streams) => match streams.first() {
            None => Ok(None),
            Some(stream) => match reply::parts(stream)? {
                [_, entries] => Ok(Some(entries)),
                _ => Err(bad_reply("a stream without entries")),
            },
        },
        _ => Err(bad_reply("something else than a stream")),
    }
}

fn entries(value: &Value) -> Result<Vec<StoredEvent>, Error> {
    reply::parts(value)?.iter().map(entry).collect()
}

/// An id, and names and values in turn. The name of the event is a value like any other, the first by custom.
fn entry(value: &Value) -> Result<StoredEvent, Error> {
    let [id, values] = reply::parts(value)? else { return Err(bad_reply("an event without values")) };
    let mut event = StoredEvent { id: reply::text(id)?, name: String::new(), fields: Vec::new() };
    // Entries that were deleted meanwhile have no values.
    for (name, value) in reply::pairs(reply::parts_or_nil(values)?.unwrap_or_default())? {
        let words = |bytes| String::from_utf8_lossy(bytes).into_owned();
        if name == b"event" && event.name.is_empty() {
            event.name = words(value);
        } else {
            event.fields.push((words(name), words(value)));
        }
    }
    Ok(event)
}
