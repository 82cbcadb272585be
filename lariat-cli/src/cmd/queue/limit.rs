//! `lariat queue limit`, and how limits are shown.

use std::time::Duration;

use lariat::Overview;
use serde::Serialize;

use crate::args::{Limit, LimitArgs, StoreArgs};
use crate::failure::{Failure, status};
use crate::output;

pub(super) async fn run(store: &StoreArgs, args: &LimitArgs) -> Result<u8, Failure> {
    let queue = crate::store::open_queue(store, &args.queue)?;
    if let Some(Limit(most)) = args.concurrency {
        queue.set_global_concurrency(most).await?;
    }
    if let Some(Limit(rate)) = args.rate {
        let set = queue.set_global_rate_limit(rate).await.map_err(Failure::from);
        set.map_err(|failure| match args.concurrency {
            Some(_) => failure.after("; the concurrency was set before"),
            None => failure,
        })?;
    }
    let shows = args.json || (args.concurrency.is_none() && args.rate.is_none());
    if shows {
        let limits = Limits::of(&queue.overview().await?);
        if args.json {
            output::print_json(&OfQueue { queue: &args.queue, limits })?;
        } else {
            output::print(&(limits.lines().join("\n") + "\n"))?;
        }
    }
    Ok(status::DONE)
}

#[derive(Serialize)]
struct OfQueue<'a> {
    queue: &'a str,
    limits: Limits,
}

/// The limits over all workers; null where there is none.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Limits {
    concurrency: Option<u64>,
    rate: Option<Rate>,
    limited_for_ms: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rate {
    max: u64,
    duration_ms: u64,
}

impl Limits {
    pub(super) fn of(overview: &Overview) -> Limits {
        let rate = overview.rate_limit.map(|rate| Rate { max: rate.max, duration_ms: in_millis(rate.duration) });
        Limits { concurrency: overview.concurrency, rate, limited_for_ms: overview.limited_for.map(in_millis) }
    }

    /// A line for each, in words that can be typed.
    pub(super) fn lines(&self) -> Vec<String> {
        let concurrency = self.concurrency.map_or("none".to_owned(), |most| most.to_string());
        let rate = self.rate.as_ref().map_or("none".to_owned(), |rate| {
            let window = humantime::format_duration(Duration::from_millis(rate.duration_ms)).to_string();
            format!("{}/{}", rate.max, window.replace(' ', ""))
        });
        let mut lines = vec![format!("concurrency  {concurrency}"), format!("rate         {rate}")];
        if let Some(ms) = self.limited_for_ms {
            lines.push(format!("no job starts for {}", output::span(Duration::from_millis(ms))));
        }
        lines
    }

    pub(super) fn limit_anything(&self) -> bool {
        self.concurrency.is_some() || self.rate.is_some() || self.limited_for_ms.is_some()
    }
}

fn in_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
