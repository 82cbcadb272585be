//! A job, as JSON and as text.

use std::fmt::Write as _;

use lariat::{JobRecord, JobState, StoredJob, Timestamp};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{opts, output};

/// A job as BullMQ's API names its parts; what is absent is null.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shape<'a> {
    id: &'a str,
    name: &'a str,
    data: &'a RawValue,
    opts: Value,
    state: Option<&'static str>,
    attempts_made: u32,
    attempts_started: u32,
    stalled_counter: u32,
    returnvalue: Option<&'a RawValue>,
    failed_reason: Option<&'a str>,
    stacktrace: &'a [String],
    progress: Option<&'a RawValue>,
    timestamp: i64,
    processed_on: Option<i64>,
    finished_on: Option<i64>,
    delay: u128,
    priority: u32,
    parent: Option<Parent<'a>>,
    processed_by: Option<&'a str>,
    deduplication_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Parent<'a> {
    id: &'a str,
    queue_key: &'a str,
}

impl<'a> Shape<'a> {
    pub(super) fn of(record: &'a JobRecord, state: Option<JobState>) -> Shape<'a> {
        Shape {
            id: record.id.as_str(),
            name: &record.name,
            data: &record.data,
            opts: opts::write(&record.options),
            state: state.map(JobState::as_str),
            attempts_made: record.attempts_made,
            attempts_started: record.attempts_started,
            stalled_counter: record.stalled_counter,
            returnvalue: record.return_value.as_deref(),
            failed_reason: record.failed_reason.as_deref(),
            stacktrace: &record.stacktrace,
            progress: record.progress.as_deref(),
            timestamp: record.timestamp.as_millis(),
            processed_on: record.processed_on.map(Timestamp::as_millis),
            finished_on: record.finished_on.map(Timestamp::as_millis),
            delay: record.delay.as_millis(),
            priority: record.priority,
            parent: record.parent.as_ref().map(|parent| Parent { id: &parent.id, queue_key: &parent.queue_key }),
            processed_by: record.processed_by.as_deref(),
            deduplication_id: record.deduplication_id.as_deref(),
        }
    }
}

/// A line for each thing that there is something to say about.
pub(super) fn as_text(job: &StoredJob) -> String {
    let record = &job.record;
    let mut text = String::new();
    let mut line = |what: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{what:<14} {}", output::shown(value));
    };
    line("id", record.id.as_str());
    line("name", &record.name);
    line("state", job.state.map_or("none (its record is in no list of the queue)", JobState::as_str));
    line("attempts", &attempts(record));
    line("added", &output::time(record.timestamp));
    if !record.delay.is_zero() {
        line("delay", &output::span(record.delay));
    }
    if record.priority > 0 {
        line("priority", &record.priority.to_string());
    }
    for (what, at) in [("last started", record.processed_on), ("ended", record.finished_on)] {
        if let Some(at) = at {
            line(what, &output::time(at));
        }
    }
    for (what, value) in [
        ("worker", record.processed_by.clone()),
        ("parent", record.parent.as_ref().map(|parent| format!("{} in {}", parent.id, parent.queue_key))),
        ("scheduler", record.scheduler.clone()),
        ("dedup id", record.deduplication_id.clone()),
        ("progress", record.progress.as_ref().map(|json| output::one_line(json.get()))),
        ("data", Some(output::one_line(record.data.get()))),
        ("opts", Some(opts::write(&record.options).to_string())),
        ("result", record.return_value.as_ref().map(|json| output::one_line(json.get()))),
        ("failed", record.failed_reason.clone()),
    ] {
        if let Some(value) = value {
            line(what, &value);
        }
    }
    for trace in &record.stacktrace {
        for (number, row) in trace.lines().enumerate() {
            line(if number == 0 { "trace" } else { "" }, row);
        }
    }
    text
}

fn attempts(record: &JobRecord) -> String {
    let (made, most) = (record.attempts_made, record.options.attempts.max(1));
    format!("{made} of {most} (runs: {}, found stalled: {})", record.attempts_started, record.stalled_counter)
}

/// What a job's time in a list of this state tells.
pub(super) fn since_what(state: JobState) -> &'static str {
    match state {
        JobState::Active => "started",
        JobState::Completed | JobState::Failed => "ended",
        _ => "added",
    }
}

/// That time, where it is recorded.
pub(super) fn since(record: &JobRecord, state: JobState) -> Option<Timestamp> {
    match state {
        JobState::Active => record.processed_on,
        JobState::Completed | JobState::Failed => record.finished_on,
        _ => Some(record.timestamp),
    }
}
