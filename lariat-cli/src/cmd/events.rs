//! `lariat events`: what happens in a queue, a JSON object a line, until somebody has had enough.

use std::pin::pin;
use std::time::Duration;

use lariat::{Error, QueueEvent, QueueEvents, Store};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::args::{EventsArgs, StoreArgs};
use crate::failure::{self, Failure, status};
use crate::output::{self, Reader};

/// How often to look whether anybody still reads, while nothing happens.
const LOOK: Duration = Duration::from_millis(500);
/// The pauses while the store does not answer; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(super) async fn run(store: &StoreArgs, args: &EventsArgs) -> Result<u8, Failure> {
    let mut end = End::listen().map_err(|e| Failure::failed(format!("cannot listen to signals: {e}")))?;
    tokio::select! {
        ended = stream(store, args) => ended?,
        () = end.comes() => {}
    }
    Ok(status::DONE)
}

async fn stream(store: &StoreArgs, args: &EventsArgs) -> Result<(), Failure> {
    let store = crate::store::open(store)?;
    let events = match &args.from {
        Some(id) => QueueEvents::after(&store, &args.queue, id)?,
        None => QueueEvents::from_now(&store, &args.queue).await?,
    };
    // A store that is not there at the start is a mistake; one that is lost later will come back.
    store.ping().await?;
    Tail { events, store, lost: None }.print_all().await
}

/// The stream's events, over lost connections.
struct Tail {
    events: QueueEvents,
    store: Store,
    /// The next pause, while the store does not answer.
    lost: Option<Duration>,
}

impl Tail {
    /// Prints until nobody reads.
    async fn print_all(&mut self) -> Result<(), Failure> {
        loop {
            match self.events.next().await {
                Ok(event) => {
                    self.lost = None;
                    if print(output::json_line(&Line(&event))? + "\n").await? == Reader::Gone {
                        return Ok(());
                    }
                }
                Err(error) if error.is_unreachable() => self.wait_for_the_store(&error).await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Says so once, and waits until it answers.
    async fn wait_for_the_store(&mut self, error: &Error) -> Result<(), Failure> {
        let first = self.lost.is_none();
        if first {
            output::say(&format!("{}; it is tried again", failure::chain(error)));
        }
        let mut pause = self.lost.unwrap_or(FIRST_PAUSE);
        loop {
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            match self.store.ping().await {
                Ok(()) => break,
                Err(error) if error.is_unreachable() => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.lost = Some(pause);
        if first {
            output::say("the store answers again");
        }
        Ok(())
    }
}

/// Prints on another thread: a reader who lets us wait must not keep a signal from being heard.
async fn print(line: String) -> Result<Reader, Failure> {
    let printed = tokio::task::spawn_blocking(move || output::print(&line)).await;
    printed.map_err(|e| Failure::failed(e.to_string()))?
}

/// What ends the stream from outside: a signal, or a reader who has gone.
struct End {
    int: Signal,
    term: Signal,
}

impl End {
    fn listen() -> std::io::Result<End> {
        Ok(End { int: signal(SignalKind::interrupt())?, term: signal(SignalKind::terminate())? })
    }

    async fn comes(&mut self) {
        let mut gone = pin!(reader_goes());
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
            () = &mut gone => {}
        }
    }
}

async fn reader_goes() {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while output::reader() == Reader::There {
        looks.tick().await;
    }
}

/// An event as it is printed: `id`, `at`, `event`, and its fields.
struct Line<'a>(&'a QueueEvent);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let QueueEvent { id, at, raw: (event, fields), .. } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", id)?;
        map.serialize_entry("at", &at.as_millis())?;
        map.serialize_entry("event", event)?;
        for (position, (name, value)) in fields.iter().enumerate() {
            if fields[..position].iter().any(|(earlier, _)| earlier == name) {
                continue;
            }
            let key = if matches!(name.as_str(), "id" | "at" | "event") { format!("_{name}") } else { name.clone() };
            match typed(event, name, value) {
                Some(json) => map.serialize_entry(&key, &json)?,
                None => map.serialize_entry(&key, value)?,
            }
        }
        map.end()
    }
}

/// The fields that are more than text; None where the text is not what it should be.
fn typed(event: &str, field: &str, value: &str) -> Option<Box<RawValue>> {
    match (event, field) {
        ("progress", "data") | ("completed", "returnvalue") => serde_json::from_str(value).ok(),
        ("delayed", "delay") | ("retries-exhausted", "attemptsMade") | ("cleaned", "count") => {
            value.parse::<u64>().ok()?;
            serde_json::from_str(value).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_types_that_they_are_documented_to_have() {
        for (event, field, value, expected) in [
            ("progress", "data", "{\"a\":[1]}", Some("{\"a\":[1]}")),
            ("completed", "returnvalue", "\"7\"", Some("\"7\"")),
            ("completed", "returnvalue", "no json", None),
            ("completed", "jobId", "7", None),
            ("delayed", "delay", "1700000000000", Some("1700000000000")),
            ("delayed", "delay", "soon", None),
            ("delayed", "delay", "007", None),
            ("retries-exhausted", "attemptsMade", "3", Some("3")),
            ("mine", "count", "3", None),
        ] {
            let typed = typed(event, field, value);
            assert_eq!(typed.as_deref().map(RawValue::get), expected, "{event}.{field} {value}");
        }
    }
}
