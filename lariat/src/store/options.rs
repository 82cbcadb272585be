//! A job's options as both stores keep them: JSON with BullMQ's short keys. What is not known is kept.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::id::JobId;
use crate::job::{Backoff, BackoffKind, JobOptions, Keep};

/// The stored text of options.
pub(crate) fn encode(options: &JobOptions) -> String {
    let mut map = options.extra.clone();
    let mut put = |key: &str, value: Value| {
        map.insert(key.to_owned(), value);
    };
    put("attempts", options.attempts.into());
    if let Some(id) = &options.id {
        put("jobId", id.as_str().into());
    }
    if !options.delay.is_zero() {
        put("delay", ms(options.delay));
    }
    if options.priority > 0 {
        put("priority", options.priority.into());
    }
    if options.lifo {
        put("lifo", true.into());
    }
    if let Some(backoff) = &options.backoff {
        put("backoff", encode_backoff(backoff));
    }
    if let Some(keep) = options.remove_on_complete {
        put("removeOnComplete", encode_keep(keep));
    }
    if let Some(keep) = options.remove_on_fail {
        put("removeOnFail", encode_keep(keep));
    }
    if let Some(timeout) = options.timeout {
        put("timeout", ms(timeout));
    }
    if let Some(rows) = options.keep_logs {
        put("kl", rows.into());
    }
    if let Some(limit) = options.stack_trace_limit {
        put("stackTraceLimit", limit.into());
    }
    if let Some(limit) = options.size_limit {
        put("sizeLimit", limit.into());
    }
    Value::Object(map).to_string()
}

fn ms(span: Duration) -> Value {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).into()
}

fn encode_backoff(backoff: &Backoff) -> Value {
    let kind = match &backoff.kind {
        BackoffKind::Fixed => "fixed",
        BackoffKind::Exponential => "exponential",
        BackoffKind::Custom(name) => name,
    };
    let mut map = Map::new();
    map.insert("type".into(), kind.into());
    map.insert("delay".into(), ms(backoff.delay));
    if backoff.jitter > 0.0 {
        map.insert("jitter".into(), backoff.jitter.into());
    }
    Value::Object(map)
}

fn encode_keep(keep: Keep) -> Value {
    match keep {
        Keep::NONE => true.into(),
        Keep::ALL => false.into(),
        Keep { count: Some(count), age: None, limit: None } => count.into(),
        Keep { count, age, limit } => {
            let mut map = Map::new();
            for (key, value) in [("age", age.map(|age| age.as_secs())), ("count", count), ("limit", limit)] {
                if let Some(value) = value {
                    map.insert(key.into(), value.into());
                }
            }
            Value::Object(map)
        }
    }
}

/// Options from their stored text, or what is wrong with it.
pub(crate) fn decode(text: &str) -> Result<JobOptions, String> {
    let mut map: Map<String, Value> = serde_json::from_str(text).map_err(|e| format!("is not a JSON object: {e}"))?;
    // A key whose value is null counts as absent, as it does for BullMQ.
    let mut take = |key: &str| map.remove(key).filter(|value| !value.is_null());
    let mut options = JobOptions::default();
    if let Some(value) = take("jobId") {
        options.id = match value {
            Value::String(id) => JobId::existing(id).ok(),
            Value::Number(id) => JobId::existing(id.to_string()).ok(),
            other => return Err(wrong("jobId", &other)),
        };
    }
    options.delay = span(take("delay"), "delay")?.unwrap_or_default();
    options.priority = count(take("priority"), "priority")?.unwrap_or_default();
    options.attempts = count(take("attempts"), "attempts")?.unwrap_or_default();
    options.backoff = take("backoff").map(decode_backoff).transpose()?.flatten();
    options.lifo = match take("lifo") {
        None => false,
        Some(Value::Bool(lifo)) => lifo,
        Some(other) => return Err(wrong("lifo", &other)),
    };
    options.remove_on_complete = keep(take("removeOnComplete"), "removeOnComplete")?;
    options.remove_on_fail = keep(take("removeOnFail"), "removeOnFail")?;
    options.timeout = span(take("timeout"), "timeout")?.filter(|timeout| !timeout.is_zero());
    options.keep_logs = size(take("kl"), "kl")?;
    options.stack_trace_limit = size(take("stackTraceLimit"), "stackTraceLimit")?;
    // It concerned its producer only, so one that we cannot read does not make the job unreadable.
    if let Some(limit) = map.get("sizeLimit").and_then(Value::as_u64) {
        options.size_limit = Some(limit);
        map.remove("sizeLimit");
    }
    options.extra = map;
    Ok(options)
}

fn wrong(key: &str, value: &Value) -> String {
    format!("{key} {} is not what it should be", shortened(&value.to_string()))
}

fn size(value: Option<Value>, key: &str) -> Result<Option<u64>, String> {
    match value {
        None => Ok(None),
        Some(value) => match value.as_u64().or_else(|| whole(value.as_f64())) {
            None => Err(wrong(key, &value)),
            size => Ok(size),
        },
    }
}

fn count(value: Option<Value>, key: &str) -> Result<Option<u32>, String> {
    Ok(size(value, key)?.map(|size| u32::try_from(size).unwrap_or(u32::MAX)))
}

fn span(value: Option<Value>, key: &str) -> Result<Option<Duration>, String> {
    Ok(size(value, key)?.map(Duration::from_millis))
}

/// An object, or a bare number of ms, which is how a scheduler's template has it. A delay of 0 without a name is none.
fn decode_backoff(value: Value) -> Result<Option<Backoff>, String> {
    let Value::Object(mut map) = value else {
        return match size(Some(value), "backoff")? {
            Some(ms) if ms > 0 => Ok(Some(Backoff::fixed(Duration::from_millis(ms)))),
            _ => Ok(None),
        };
    };
    let mut backoff = Backoff::fixed(span(map.remove("delay"), "backoff.delay")?.unwrap_or_default());
    match map.remove("type") {
        None | Some(Value::Null) => {}
        Some(Value::String(name)) => {
            backoff.kind = match name.as_str() {
                "fixed" => BackoffKind::Fixed,
                "exponential" => BackoffKind::Exponential,
                _ => BackoffKind::Custom(name),
            }
        }
        Some(other) => return Err(wrong("backoff.type", &other)),
    }
    if let Some(jitter) = map.remove("jitter") {
        let part = jitter.as_f64().filter(|part| (0.0..=1.0).contains(part));
        backoff.jitter = part.ok_or_else(|| wrong("backoff.jitter", &jitter))?;
    }
    Ok(Some(backoff))
}

fn keep(value: Option<Value>, key: &str) -> Result<Option<Keep>, String> {
    Ok(Some(match value {
        None => return Ok(None),
        Some(Value::Bool(true)) => Keep::NONE,
        Some(Value::Bool(false)) => Keep::ALL,
        Some(Value::Number(count)) => match count.as_f64() {
            Some(count) if count >= 0.0 => Keep { count: whole(Some(count)), ..Keep::ALL },
            // BullMQ's -1: all.
            _ => Keep::ALL,
        },
        Some(Value::Object(mut map)) => {
            let negative = map.get("count").and_then(Value::as_f64).is_some_and(|count| count < 0.0);
            let count = map.remove("count").filter(|_| !negative);
            Keep {
                count: size(count, &format!("{key}.count"))?,
                age: size(map.remove("age"), &format!("{key}.age"))?.map(Duration::from_secs),
                limit: size(map.remove("limit"), &format!("{key}.limit"))?,
            }
        }
        Some(other) => return Err(wrong(key, &other)),
    }))
}

/// A double as a whole number, not below 0. None for what JSON and BullMQ do not know as a number.
pub(crate) fn whole(number: Option<f64>) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut and saturated on purpose")]
    number.filter(|number| number.is_finite()).map(|number| number.max(0.0) as u64)
}

/// The beginning of a text that somebody else wrote, for a message.
pub(crate) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn stored(options: &JobOptions) -> Value {
        serde_json::from_str(&encode(options)).unwrap()
    }

    #[test]
    fn attempts_are_always_written_and_nothing_else_that_was_not_given() {
        assert_eq!(stored(&JobOptions::default()), json!({"attempts": 0}));
    }

    #[test]
    fn short_keys_and_bullmqs_forms() {
        let options = JobOptions {
            id: Some(JobId::custom("x").unwrap()),
            delay: Duration::from_millis(1500),
            priority: 2,
            attempts: 3,
            backoff: Some(Backoff::exponential(Duration::from_secs(1)).jitter(0.5)),
            lifo: true,
            remove_on_complete: Some(Keep::NONE),
            remove_on_fail: Some(Keep { count: Some(5), age: Some(Duration::from_secs(60)), limit: None }),
            timeout: Some(Duration::from_secs(2)),
            keep_logs: Some(9),
            stack_trace_limit: Some(4),
            size_limit: Some(100),
            extra: [("proOption".to_owned(), json!(1))].into_iter().collect(),
        };
        let expected = json!({
            "jobId": "x", "delay": 1500, "priority": 2, "attempts": 3, "lifo": true, "removeOnComplete": true,
            "backoff": {"type": "exponential", "delay": 1000, "jitter": 0.5},
            "removeOnFail": {"age": 60, "count": 5}, "timeout": 2000, "kl": 9, "stackTraceLimit": 4, "sizeLimit": 100,
            "proOption": 1,
        });
        assert_eq!(stored(&options), expected);
        assert_eq!(decode(&encode(&options)).unwrap(), options);
    }

    #[test]
    fn forms_that_only_others_write() {
        let read = |value: Value| decode(&value.to_string()).unwrap();
        assert_eq!(read(json!({"backoff": 300})).backoff, Some(Backoff::fixed(Duration::from_millis(300))));
        assert_eq!(
            read(json!({"backoff": {"type": "moon"}})).backoff.unwrap().kind,
            BackoffKind::Custom("moon".into())
        );
        assert_eq!(read(json!({"removeOnFail": -1})).remove_on_fail, Some(Keep::ALL));
        assert_eq!(read(json!({"removeOnFail": 0})).remove_on_fail, Some(Keep::NONE));
        assert_eq!(read(json!({"removeOnFail": {"count": -1, "age": 5}})).remove_on_fail.unwrap().count, None);
        assert_eq!(read(json!({"repeat": {"every": 5}, "attempts": null})).extra.len(), 1);
        assert_eq!(read(json!({"attempts": 2.0})).attempts, 2);
        let unread = read(json!({"sizeLimit": "4 MB"}));
        assert_eq!((unread.size_limit, unread.extra.len()), (None, 1));
    }

    #[test]
    fn wrong_forms_are_named() {
        for (key, value) in [
            ("attempts", json!("3")),
            ("delay", json!([])),
            ("lifo", json!(1)),
            ("backoff.jitter", json!({"jitter": 7})),
            ("removeOnFail", json!("yes")),
            ("removeOnComplete.age", json!({"age": "1h"})),
        ] {
            let top = key.split('.').next().unwrap();
            let why = decode(&json!({ top: value }).to_string()).unwrap_err();
            assert!(why.contains(key), "{why}");
        }
        assert!(decode("[]").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            delay in 0u64..1 << 40, priority in 0u32..1 << 21, attempts in any::<u32>(), lifo in any::<bool>(),
            keep in prop::option::of((prop::option::of(0u64..1 << 50), prop::option::of(0u64..1 << 30))),
            jitter in 0u32..=64,
        ) {
            let options = JobOptions {
                delay: Duration::from_millis(delay), priority, attempts, lifo,
                remove_on_fail: keep.map(|(count, age)| Keep { count, age: age.map(Duration::from_secs), limit: None }),
                backoff: Some(Backoff::fixed(Duration::from_millis(delay)).jitter(f64::from(jitter) / 64.0)),
                ..JobOptions::default()
            };
            prop_assert_eq!(decode(&encode(&options)).unwrap(), options);
        }
    }
}
