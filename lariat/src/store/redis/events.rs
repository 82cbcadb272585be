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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use interop::redis::RedisServer;
    use interop::wait;

    use super::*;
    use crate::ErrorKind;
    use crate::id::{Prefix, QueueName};
    use crate::store::url;

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_secs(60);

    fn listener(url: &str) -> RedisEvents {
        RedisEvents::new(
            url::redis_address(url).unwrap(),
            &Keys::new(&Prefix::default(), &QueueName::new("q").unwrap()),
        )
    }

    fn add(server: &RedisServer, id: &str, words: &[&str]) {
        redis::cmd("XADD").arg("bull:q:events").arg(id).arg(words).exec(&mut server.connection()).unwrap();
    }

    fn ids(found: &StoredEvents) -> Vec<&str> {
        found.events.iter().map(|event| event.id.as_str()).collect()
    }

    #[tokio::test]
    async fn the_end_of_a_stream_is_its_newest_entry() {
        let server = RedisServer::start();
        let listener = listener(&server.url());
        let nothing = StoredEvents { events: Vec::new(), upto: "0-0".into() };
        assert_eq!(listener.events(None, 0, LONG).await.unwrap(), nothing);
        add(&server, "5-1", &["event", "paused"]);
        add(&server, "7-2", &["event", "resumed"]);
        assert_eq!(listener.events(None, 9, LONG).await.unwrap(), StoredEvents { upto: "7-2".into(), ..nothing });
    }

    #[tokio::test]
    async fn events_come_in_order_and_as_many_as_wanted() {
        let server = RedisServer::start();
        for url in [server.url(), format!("{}?protocol=resp3", server.url())] {
            let listener = listener(&url);
            redis::cmd("DEL").arg("bull:q:events").exec(&mut server.connection()).unwrap();
            add(&server, "5-1", &["event", "waiting", "jobId", "1", "prev", "active"]);
            add(&server, "5-2", &["jobId", "2", "event", "mine", "event", "again", "empty", ""]);
            add(&server, "6-0", &["jobId", "3"]);
            let found = listener.events(Some("0-0"), 2, Duration::ZERO).await.unwrap();
            assert_eq!((ids(&found), found.upto.as_str()), (vec!["5-1", "5-2"], "5-2"));
            let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            assert_eq!(found.events[0].name, "waiting");
            assert_eq!(found.events[0].fields, [field("jobId", "1"), field("prev", "active")]);
            assert_eq!(found.events[1].name, "mine");
            assert_eq!(found.events[1].fields, [field("jobId", "2"), field("event", "again"), field("empty", "")]);
            let found = listener.events(Some("5-2"), 0, LONG).await.unwrap();
            assert_eq!((ids(&found), found.events[0].name.as_str()), (vec!["6-0"], ""));
        }
    }

    #[tokio::test]
    async fn nothing_new_is_no_error_and_the_place_is_kept() {
        let server = RedisServer::start();
        for url in [server.url(), format!("{}?protocol=resp3", server.url())] {
            let listener = listener(&url);
            for wait in [Duration::ZERO, Duration::from_micros(10), Duration::from_millis(20)] {
                let found = listener.events(Some("3-3"), 10, wait).await.unwrap();
                assert_eq!(found, StoredEvents { events: Vec::new(), upto: "3-3".into() });
            }
        }
    }

    fn is_blocked(server: &RedisServer) -> bool {
        let clients: String = redis::cmd("CLIENT").arg("LIST").query(&mut server.connection()).unwrap();
        clients.lines().any(|client| client.contains(" name=bull:cQ==:qe ") && client.contains(" cmd=xread "))
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_event_that_comes() {
        let server = RedisServer::start();
        let listener = Arc::new(listener(&server.url()));
        let waiting = tokio::spawn({
            let listener = Arc::clone(&listener);
            async move { listener.events(Some("0-0"), 10, LONG).await }
        });
        wait::until_async("it waits", || async { is_blocked(&server) }).await;
        add(&server, "9-1", &["event", "paused"]);
        let found = tokio::time::timeout(wait::DEADLINE, waiting).await.expect("it came").unwrap().unwrap();
        assert_eq!(ids(&found), ["9-1"]);
    }

    #[tokio::test]
    async fn a_server_that_hangs_is_unknown_and_the_next_read_has_a_new_connection() {
        let server = RedisServer::start();
        let listener = listener(&server.url());
        add(&server, "9-1", &["event", "paused"]);
        listener.events(None, 1, LONG).await.unwrap();
        server.freeze();
        let error = listener.events(Some("9-1"), 1, Duration::from_millis(10)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unknown);
        server.thaw();
        let read = || async {
            let found = listener.events(Some("0-0"), 1, Duration::from_millis(10)).await;
            found.is_ok_and(|found| ids(&found) == ["9-1"])
        };
        wait::until_async("it reads again", read).await;
    }

    #[tokio::test]
    async fn a_stream_that_is_none_is_an_error() {
        let server = RedisServer::start();
        redis::cmd("SET").arg("bull:q:events").arg("text").exec(&mut server.connection()).unwrap();
        let listener = listener(&server.url());
        for after in [None, Some("0-0")] {
            let error = listener.events(after, 1, Duration::from_millis(10)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Store);
        }
    }
}
