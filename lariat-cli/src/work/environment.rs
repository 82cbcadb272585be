//! What a command finds in its environment. Pure.

use lariat::Job;
use serde_json::Value;

/// Variables and their values; None: not set, whatever the worker's own environment says. The error is why the job can
/// never be run.
pub(crate) fn of(job: &Job, store: &str, prefix: &str) -> Result<[(&'static str, Option<String>); 9], String> {
    for (what, value) in [("id", job.id().as_str()), ("name", job.name())] {
        if value.contains('\0') {
            return Err(format!("its {what} holds a NUL character, which no environment can"));
        }
    }
    let set = |value: &str| Some(value.to_owned());
    Ok([
        ("LARIAT_STORE", set(store)),
        ("LARIAT_PREFIX", set(prefix)),
        ("LARIAT_QUEUE", set(job.queue())),
        ("LARIAT_JOB_ID", set(job.id().as_str())),
        ("LARIAT_JOB_NAME", set(job.name())),
        ("LARIAT_ATTEMPT", Some(job.attempt().to_string())),
        ("LARIAT_STARTS", Some(job.starts().to_string())),
        ("LARIAT_TOKEN", set(job.token())),
        ("LARIAT_TRACEPARENT", job.record().options.extra.get("tm").and_then(traceparent)),
    ])
}

/// BullMQ's telemetry keeps a carrier as JSON text, with a W3C `traceparent` in it.
fn traceparent(metadata: &Value) -> Option<String> {
    let carrier: Value = serde_json::from_str(metadata.as_str()?).ok()?;
    let parent = carrier.get("traceparent")?.as_str()?;
    let sound = !parent.is_empty() && parent.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    sound.then(|| parent.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_trace_goes_on_where_there_is_one() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let carrier = json!({ "traceparent": parent }).to_string();
        assert_eq!(traceparent(&json!(carrier)).as_deref(), Some(parent));
        for odd in [json!("{}"), json!("no json"), json!(7), json!("{\"traceparent\":\"a\\u0000b\"}")] {
            assert_eq!(traceparent(&odd), None, "{odd}");
        }
    }
}
