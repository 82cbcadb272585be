//! One job at a time on an idle queue: what a job costs when nothing can be shared, and how quick it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{Connection, Value, cmd};

use super::{Case, Goal, Metric, QUEUE, Sample, Setup, Stage, adding, figure, percentile, worker};
use crate::Result;
use crate::meter::{Meter, length};
use crate::peer::Library;
use crate::protocol::Pace;

/// Adds `jobs` jobs, one every `gap`, to a queue whose worker waits.
pub(crate) struct Lone {
    pub(crate) jobs: usize,
    pub(crate) gap: Duration,
}

impl Case for Lone {
    fn title(&self) -> String {
        format!("a lone job every {:?}, {} jobs", self.gap, self.jobs)
    }

    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric { key: "calls", label: "script calls/job", digits: 2, goal: Goal::AtMost(3.5) },
            Metric {
                key: "p50_us",
                label: "add to completed p50, us",
                digits: 0,
                goal: Goal::AtMostTimes(1.0, Library::Official),
            },
            Metric { key: "p99_us", label: "add to completed p99, us", digits: 0, goal: Goal::None },
            Metric { key: "redis_us", label: "Redis CPU us/job", digits: 0, goal: Goal::None },
            Metric { key: "client_us", label: "client CPU us/job", digits: 0, goal: Goal::None },
        ]
    }

    fn run(&self, library: Library, setup: Setup) -> Result<Sample> {
        const WARM: usize = 100;
        let mut stage = Stage::set(library, setup)?;
        let gap_us = u64::try_from(self.gap.as_micros())?;
        stage.peer.work(worker(QUEUE, 10))?;
        stage.peer.add(&adding(QUEUE, "echo", WARM, Pace::Paced { gap_us }))?;
        stage.until("the warm-up ends", |redis| Ok(length(redis, QUEUE, "completed")? == WARM))?;

        let redis = stage.server.connect()?;
        let jobs = self.jobs;
        let watching = std::thread::spawn(move || observe(redis, jobs));
        // The observer's first read is on its way before the first job.
        stage.until("the observer reads", |redis| {
            Ok(cmd("CLIENT").arg("LIST").query::<String>(redis)?.contains("cmd=xread"))
        })?;
        let (meter, used) = (Meter::read(&mut stage.redis)?, stage.peer.usage()?);
        stage.peer.add(&adding(QUEUE, "echo", self.jobs, Pace::Paced { gap_us }))?;
        let mut took = watching.join().map_err(|_| "the observer ended early")??;
        let (after, used_after) = (Meter::read(&mut stage.redis)?, stage.peer.usage()?);
        let jobs = figure(self.jobs);
        Ok(vec![
            ("calls", after.scripts(&meter) / jobs),
            ("p50_us", percentile(&mut took, 0.5)),
            ("p99_us", percentile(&mut took, 0.99)),
            ("redis_us", after.cpu_us(&meter) / jobs),
            ("client_us", used_after.cpu_us_since(&used) / jobs),
        ])
    }
}

/// What XREAD answers: per stream its entries, each an id and alternating names and values.
type Streams = Vec<(String, Vec<(String, Vec<Value>)>)>;

/// Reads the queue's events and answers, for each completed job, the time since its add was sent, in microseconds. The
/// job returns that moment, so the event carries it; the judge is the same for every library.
fn observe(mut redis: Connection, jobs: usize) -> Result<Vec<f64>> {
    let mut took = Vec::with_capacity(jobs);
    let mut after = String::from("$");
    while took.len() < jobs {
        let key = format!("bull:{QUEUE}:events");
        let reply: Option<Streams> =
            cmd("XREAD").arg("BLOCK").arg(30_000).arg("STREAMS").arg(key).arg(&after).query(&mut redis)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() * 1e6;
        let Some(streams) = reply else { return Err("no event for 30 s".into()) };
        for (id, fields) in streams.into_iter().flat_map(|(_, entries)| entries) {
            after = id;
            took.extend(added_at(&fields).map(|then| now - then));
        }
    }
    Ok(took)
}

/// The moment that a `completed` event's job returned.
fn added_at(fields: &[Value]) -> Option<f64> {
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    };
    let of =
        |name: &str| fields.chunks(2).find(|pair| text(&pair[0]).as_deref() == Some(name)).and_then(|p| text(&p[1]));
    (of("event")? == "completed").then_some(())?;
    of("returnvalue")?.parse().ok()
}
