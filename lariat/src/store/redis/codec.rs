//! Job records as they are stored: hash fields in and out. What other clients wrote is read as they read it; what cannot
//! be read gives words that name the field, never a panic.

use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::id::JobId;
use crate::job::{JobOptions, JobRecord, ParentRef};
pub(super) use crate::store::options::whole;
use crate::store::options::{self, shortened};
use crate::time::Timestamp;

/// A record from the fields of its hash, or what is wrong with it.
pub(super) fn record<'a>(
    id: &JobId,
    fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Box<JobRecord>, String> {
    let mut record = Box::new(JobRecord {
        id: id.clone(),
        name: String::new(),
        data: empty(),
        options: JobOptions::default(),
        timestamp: Timestamp::default(),
        delay: Duration::ZERO,
        priority: 0,
        attempts_made: 0,
        attempts_started: 0,
        stalled_counter: 0,
        processed_on: None,
        finished_on: None,
        return_value: None,
        failed_reason: None,
        stacktrace: Vec::new(),
        progress: None,
        processed_by: None,
        parent: None,
        scheduler: None,
        deduplication_id: None,
        deferred_failure: None,
    });
    let mut named = false;
    for (field, value) in fields {
        named |= field == b"name";
        set(&mut record, field, value).map_err(|why| format!("field {}: {why}", String::from_utf8_lossy(field)))?;
    }
    if named { Ok(record) } else { Err("field name: is missing".into()) }
}

fn set(record: &mut JobRecord, field: &[u8], value: &[u8]) -> Result<(), String> {
    match field {
        b"name" => record.name = text(value)?,
        b"data" => record.data = json(value)?,
        b"opts" => record.options = options::decode(text_of(value)?)?,
        b"timestamp" => record.timestamp = instant(value)?,
        b"delay" => record.delay = Duration::from_millis(number(value)?),
        b"priority" => record.priority = count(value)?,
        b"atm" => record.attempts_made = record.attempts_made.max(count(value)?),
        b"attemptsMade" => record.attempts_made = count(value)?,
        b"ats" => record.attempts_started = count(value)?,
        b"stc" => record.stalled_counter = count(value)?,
        b"processedOn" => record.processed_on = Some(instant(value)?),
        b"finishedOn" => record.finished_on = Some(instant(value)?),
        b"returnvalue" => record.return_value = Some(json(value)?),
        b"failedReason" => record.failed_reason = Some(text(value)?),
        b"stacktrace" => record.stacktrace = traces(value)?,
        b"progress" => record.progress = Some(json(value)?),
        b"pb" => record.processed_by = Some(text(value)?),
        b"parent" => record.parent = parent(value)?,
        b"rjk" => record.scheduler = some(value)?,
        b"deid" => record.deduplication_id = some(value)?,
        b"defa" => record.deferred_failure = some(value)?,
        _ => {}
    }
    Ok(())
}

/// BullMQ's value for a missing payload.
fn empty() -> Box<RawValue> {
    RawValue::from_string("{}".into()).unwrap_or_default()
}

fn text_of(value: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(value).map_err(|e| format!("is not UTF-8: {e}"))
}

fn text(value: &[u8]) -> Result<String, String> {
    text_of(value).map(str::to_owned)
}

fn some(value: &[u8]) -> Result<Option<String>, String> {
    Ok(Some(text(value)?).filter(|text| !text.is_empty()))
}

fn json(value: &[u8]) -> Result<Box<RawValue>, String> {
    RawValue::from_string(text(value)?).map_err(|e| format!("is not JSON: {e}"))
}

/// A whole number; a fraction is cut, as clients differ in what they write. Not below 0.
fn number(value: &[u8]) -> Result<u64, String> {
    let text = text_of(value)?;
    if let Ok(whole) = text.parse() {
        return Ok(whole);
    }
    whole(text.trim().parse().ok()).ok_or_else(|| format!("{:?} is not a number", shortened(text)))
}

fn count(value: &[u8]) -> Result<u32, String> {
    Ok(u32::try_from(number(value)?).unwrap_or(u32::MAX))
}

fn instant(value: &[u8]) -> Result<Timestamp, String> {
    Ok(Timestamp::from_millis(i64::try_from(number(value)?).unwrap_or(i64::MAX)))
}

fn traces(value: &[u8]) -> Result<Vec<String>, String> {
    let traces: Vec<Value> = serde_json::from_slice(value).map_err(|e| format!("is not a JSON array: {e}"))?;
    Ok(traces
        .into_iter()
        .map(|trace| match trace {
            Value::String(trace) => trace,
            other => other.to_string(),
        })
        .collect())
}

fn parent(value: &[u8]) -> Result<Option<ParentRef>, String> {
    let found: Value = serde_json::from_slice(value).map_err(|e| format!("is not JSON: {e}"))?;
    let id = match found.get("id") {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => return Ok(None),
    };
    let queue_key = found.get("queueKey").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Some(ParentRef { id, queue_key }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id() -> JobId {
        JobId::existing("7").unwrap()
    }

    fn read(fields: &[(&str, &str)]) -> Result<Box<JobRecord>, String> {
        record(&id(), fields.iter().map(|(field, value)| (field.as_bytes(), value.as_bytes())))
    }

    #[test]
    fn a_fresh_job_of_node() {
        let job = read(&[
            ("name", "welcome"),
            ("data", r#"{"a": 1.50}"#),
            ("opts", r#"{"attempts":0}"#),
            ("timestamp", "1700000000000"),
            ("delay", "0"),
            ("priority", "3"),
        ])
        .unwrap();
        assert_eq!((job.name.as_str(), job.data.get(), job.priority), ("welcome", r#"{"a": 1.50}"#, 3));
        assert_eq!(job.timestamp, Timestamp::from_millis(1_700_000_000_000));
        assert_eq!((job.attempts_made, job.attempts_started, job.stalled_counter), (0, 0, 0));
        assert!(job.progress.is_none() && job.parent.is_none() && job.finished_on.is_none());
    }

    #[test]
    fn what_came_later_in_its_life() {
        let job = read(&[
            ("name", "n"),
            ("atm", "2"),
            ("ats", "3"),
            ("stc", "1"),
            ("processedOn", "5"),
            ("finishedOn", "9"),
            ("returnvalue", "null"),
            ("failedReason", "not \"json\""),
            ("stacktrace", r#"["a",7]"#),
            ("progress", "[50]"),
            ("pb", "w"),
            ("parent", r#"{"id":"1","queueKey":"bull:p","fpof":true}"#),
            ("rjk", "every"),
            ("deid", "d"),
            ("defa", "child x failed"),
        ])
        .unwrap();
        assert_eq!((job.attempts_made, job.attempts_started, job.stalled_counter), (2, 3, 1));
        assert_eq!(job.stacktrace, ["a", "7"]);
        assert_eq!(job.parent, Some(ParentRef { id: "1".into(), queue_key: "bull:p".into() }));
        assert_eq!(job.return_value.unwrap().get(), "null");
        assert_eq!(job.deferred_failure.as_deref(), Some("child x failed"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (field, value) in [
            ("data", "{"),
            ("opts", "[]"),
            ("opts", "nope"),
            ("timestamp", "soon"),
            ("delay", "NaN"),
            ("priority", "high"),
            ("returnvalue", ""),
            ("stacktrace", "{}"),
            ("progress", "50%"),
            ("parent", "bull:p:1"),
        ] {
            let why = read(&[("name", "n"), (field, value)]).unwrap_err();
            assert!(why.starts_with(&format!("field {field}: ")), "{why}");
        }
        assert!(read(&[("ats", "1")]).unwrap_err().contains("name"));
        assert!(record(&id(), [(b"name".as_slice(), b"\xff".as_slice())]).unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn deep_nesting_passes_through() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(&[("name", "n"), ("data", &deep)]).unwrap().data.get().len(), 200_000);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            field in prop::sample::select(vec![
                "name", "data", "opts", "timestamp", "delay", "priority", "atm", "ats", "stc", "attemptsMade",
                "processedOn", "finishedOn", "returnvalue", "failedReason", "stacktrace", "progress", "pb", "parent",
                "rjk", "deid", "defa",
            ]),
            value in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let _ = record(&id(), [(b"name".as_slice(), b"n".as_slice()), (field.as_bytes(), &value)]);
        }

        #[test]
        fn no_number_panics(field in prop::sample::select(vec!["timestamp", "delay", "priority", "atm"]), value in any::<f64>()) {
            let text = value.to_string();
            let _ = read(&[("name", "n"), (field, &text)]);
        }
    }
}
