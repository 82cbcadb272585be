//! A job's options under the names that BullMQ's API gives them: read from JSON lines, written by `job get`.

use std::time::Duration;

use lariat::{Backoff, BackoffKind, JobId, JobOptions, Keep};
use serde_json::{Map, Value, json};

/// Names that are short in the store. The first column is what people write.
const SHORT: [(&str, &str); 6] = [
    ("deduplication", "de"),
    ("failParentOnFailure", "fpof"),
    ("continueParentOnFailure", "cpof"),
    ("ignoreDependencyOnFailure", "idof"),
    ("removeDependencyOnFailure", "rdof"),
    ("keepLogs", "kl"),
];

/// Options that would need something this command does not do yet, or that are not the producer's to set.
const REFUSED: [&str; 7] = ["deduplication", "debounce", "repeat", "repeatJobKey", "prevMillis", "parent", "timestamp"];

/// Reads the `opts` of a JSON line. Options that are not known are passed on, as BullMQ does.
pub(crate) fn read(opts: Map<String, Value>) -> Result<JobOptions, String> {
    let mut options = JobOptions::default();
    for (name, value) in opts {
        if value.is_null() {
            continue;
        }
        if REFUSED.contains(&name.as_str()) {
            return Err(format!("opts.{name} cannot be set here"));
        }
        if let Some(long) = long_name(&name) {
            return Err(format!("opts.{name} is the stored form; write opts.{long}"));
        }
        read_one(&mut options, &name, value).map_err(|rule| format!("opts.{name} {rule}"))?;
    }
    Ok(options)
}

fn read_one(options: &mut JobOptions, name: &str, value: Value) -> Result<(), String> {
    match name {
        "jobId" => {
            let id = value.as_str().ok_or("must be a string")?;
            options.id = Some(JobId::custom(id).map_err(|e| format!("is no job id: {e}"))?);
        }
        "delay" => options.delay = millis(&value)?,
        "timeout" => options.timeout = Some(millis(&value)?),
        "priority" => options.priority = small(&value)?,
        "attempts" => options.attempts = small(&value)?,
        "backoff" => options.backoff = Some(backoff(&value)?),
        "lifo" => options.lifo = value.as_bool().ok_or("must be true or false")?,
        "removeOnComplete" => options.remove_on_complete = Some(keep(&value)?),
        "removeOnFail" => options.remove_on_fail = Some(keep(&value)?),
        "keepLogs" => options.keep_logs = Some(whole(&value)?),
        "stackTraceLimit" => options.stack_trace_limit = Some(whole(&value)?),
        "sizeLimit" => options.size_limit = Some(value.as_u64().ok_or("must be a whole number of bytes")?),
        "telemetry" => telemetry(options, value)?,
        _ => {
            let stored = SHORT.iter().find(|(long, _)| *long == name).map_or(name, |(_, short)| short);
            options.extra.insert(stored.to_owned(), value);
        }
    }
    Ok(())
}

/// Options as BullMQ's API names them; only those that are set, and `attempts`.
pub(crate) fn write(options: &JobOptions) -> Value {
    let mut opts = Map::new();
    opts.insert("attempts".into(), json!(options.attempts));
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            opts.insert(name.to_owned(), value);
        }
    };
    set("jobId", options.id.as_ref().map(|id| json!(id.as_str())));
    set("delay", (!options.delay.is_zero()).then(|| in_millis(options.delay)));
    set("priority", (options.priority > 0).then(|| json!(options.priority)));
    set("backoff", options.backoff.as_ref().map(write_backoff));
    set("lifo", options.lifo.then_some(Value::Bool(true)));
    set("removeOnComplete", options.remove_on_complete.as_ref().map(write_keep));
    set("removeOnFail", options.remove_on_fail.as_ref().map(write_keep));
    set("timeout", options.timeout.map(in_millis));
    set("keepLogs", options.keep_logs.map(Value::from));
    set("stackTraceLimit", options.stack_trace_limit.map(Value::from));
    set("sizeLimit", options.size_limit.map(Value::from));
    let mut telemetry = Map::new();
    for (name, value) in &options.extra {
        match name.as_str() {
            "tm" => telemetry.insert("metadata".into(), value.clone()),
            "omc" => telemetry.insert("omitContext".into(), value.clone()),
            short => opts.insert(long_name(short).unwrap_or(short).to_owned(), value.clone()),
        };
    }
    if !telemetry.is_empty() {
        opts.insert("telemetry".into(), Value::Object(telemetry));
    }
    Value::Object(opts)
}

fn long_name(short: &str) -> Option<&'static str> {
    match short {
        "tm" => Some("telemetry.metadata"),
        "omc" => Some("telemetry.omitContext"),
        _ => SHORT.iter().find(|(_, s)| *s == short).map(|(long, _)| *long),
    }
}

fn telemetry(options: &mut JobOptions, value: Value) -> Result<(), String> {
    let Value::Object(fields) = value else { return Err("must be an object".to_owned()) };
    for (name, value) in fields {
        let stored = match name.as_str() {
            "metadata" => "tm",
            "omitContext" => "omc",
            _ => return Err(format!("has no field {name:?}")),
        };
        options.extra.insert(stored.to_owned(), value);
    }
    Ok(())
}

fn whole(value: &Value) -> Result<u64, String> {
    value.as_u64().ok_or_else(|| "must be a whole number, not below 0".to_owned())
}

fn small(value: &Value) -> Result<u32, String> {
    u32::try_from(whole(value)?).map_err(|_| "is too large".to_owned())
}

fn millis(value: &Value) -> Result<Duration, String> {
    value.as_u64().map(Duration::from_millis).ok_or_else(|| "must be a whole number of milliseconds".to_owned())
}

fn in_millis(span: Duration) -> Value {
    json!(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// A bare number means a fixed wait.
fn backoff(value: &Value) -> Result<Backoff, String> {
    let Value::Object(fields) = value else {
        return millis(value).map(Backoff::fixed).map_err(|_| {
            "must be a number of milliseconds, or an object with type, delay and perhaps jitter".to_owned()
        });
    };
    let kind = fields.get("type").and_then(Value::as_str).ok_or("needs a type")?;
    let delay = match fields.get("delay") {
        None | Some(Value::Null) => Duration::ZERO,
        Some(delay) => millis(delay).map_err(|rule| format!("delay {rule}"))?,
    };
    let mut backoff = Backoff::fixed(delay);
    backoff.kind = match kind {
        "fixed" => BackoffKind::Fixed,
        "exponential" => BackoffKind::Exponential,
        custom => BackoffKind::Custom(custom.to_owned()),
    };
    if let Some(jitter) = fields.get("jitter").filter(|value| !value.is_null()) {
        backoff.jitter = jitter.as_f64().ok_or("jitter must be a number between 0 and 1")?;
    }
    Ok(backoff)
}

fn write_backoff(backoff: &Backoff) -> Value {
    let kind = match &backoff.kind {
        BackoffKind::Exponential => "exponential",
        BackoffKind::Custom(name) => name,
        _ => "fixed",
    };
    let mut fields = json!({ "type": kind, "delay": in_millis(backoff.delay) });
    if backoff.jitter > 0.0 {
        fields["jitter"] = json!(backoff.jitter);
    }
    fields
}

fn keep(value: &Value) -> Result<Keep, String> {
    const RULE: &str = "must be true, false, a number of jobs, or an object with count, age and limit";
    match value {
        Value::Bool(true) => Ok(Keep::NONE),
        Value::Bool(false) => Ok(Keep::ALL),
        Value::Number(number) => number.as_u64().map(Keep::last).ok_or_else(|| RULE.to_owned()),
        Value::Object(fields) => {
            let mut keep = Keep::ALL;
            for (name, value) in fields {
                let number = value.as_u64().ok_or_else(|| format!("{name} must be a whole number, not below 0"))?;
                match name.as_str() {
                    "count" => keep.count = Some(number),
                    "age" => keep.age = Some(Duration::from_secs(number)),
                    "limit" => keep.limit = Some(number),
                    _ => return Err(format!("has no field {name:?}")),
                }
            }
            Ok(keep)
        }
        _ => Err(RULE.to_owned()),
    }
}

fn write_keep(keep: &Keep) -> Value {
    match (keep.count, keep.age, keep.limit) {
        (None, None, None) => json!(false),
        (Some(0), None, None) => json!(true),
        (Some(count), None, None) => json!(count),
        (count, age, limit) => {
            let mut fields = Map::new();
            let all = [("count", count), ("age", age.map(|age| age.as_secs())), ("limit", limit)];
            for (name, value) in all {
                if let Some(value) = value {
                    fields.insert(name.to_owned(), json!(value));
                }
            }
            Value::Object(fields)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(opts: Value) -> Result<JobOptions, String> {
        let Value::Object(opts) = opts else { panic!("not an object") };
        read(opts)
    }

    #[test]
    fn what_is_read_is_written_back_the_same() {
        let opts = json!({
            "attempts": 3, "jobId": "invoice-7", "delay": 1500, "priority": 9, "lifo": true,
            "backoff": {"type": "exponential", "delay": 1000, "jitter": 0.5},
            "removeOnComplete": {"count": 5, "age": 3600}, "removeOnFail": 100, "timeout": 60000,
            "keepLogs": 50, "stackTraceLimit": 2, "sizeLimit": 4096, "failParentOnFailure": true,
            "telemetry": {"metadata": "{}", "omitContext": true}, "proFeature": {"x": [1]}
        });
        assert_eq!(write(&parsed(opts.clone()).unwrap()), opts);
    }

    #[test]
    fn short_names_are_the_stores_business() {
        let options = parsed(json!({"failParentOnFailure": true})).unwrap();
        assert_eq!(options.extra.get("fpof"), Some(&json!(true)));
        assert!(parsed(json!({"fpof": true})).unwrap_err().contains("failParentOnFailure"));
    }

    #[test]
    fn booleans_and_numbers_say_what_to_keep() {
        let options = parsed(json!({"removeOnComplete": true, "removeOnFail": false, "backoff": 250})).unwrap();
        assert_eq!(options.remove_on_complete, Some(Keep::NONE));
        assert_eq!(options.remove_on_fail, Some(Keep::ALL));
        assert_eq!(options.backoff, Some(Backoff::fixed(Duration::from_millis(250))));
    }

    #[test]
    fn a_bad_option_is_named_with_its_rule() {
        for (opts, words) in [
            (json!({"delay": -1}), "opts.delay must be a whole number of milliseconds"),
            (json!({"delay": 1.5}), "opts.delay"),
            (json!({"priority": "high"}), "opts.priority"),
            (json!({"attempts": 5_000_000_000_u64}), "opts.attempts is too large"),
            (json!({"sizeLimit": "4 MB"}), "opts.sizeLimit must be a whole number of bytes"),
            (json!({"jobId": 17}), "opts.jobId must be a string"),
            (json!({"jobId": "17"}), "whole number"),
            (json!({"backoff": "1s"}), "opts.backoff"),
            (json!({"backoff": {"delay": 1}}), "opts.backoff needs a type"),
            (json!({"removeOnFail": {"cuont": 1}}), "cuont"),
            (json!({"deduplication": {"id": "x"}}), "opts.deduplication cannot be set here"),
            (json!({"repeat": {"every": 5}}), "opts.repeat"),
        ] {
            let error = parsed(opts).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
