//! `lariat queue`.

use std::fmt::Write as _;

use lariat::{Counts, JobState, Overview, Queue};
use serde::Serialize;

use crate::args::{StatsArgs, StoreArgs};
use crate::failure::{Failure, status};
use crate::output;

pub(super) async fn stats(store: &StoreArgs, args: &StatsArgs) -> Result<u8, Failure> {
    let queue = Queue::new(&super::open(store)?, &args.queue)?;
    let overview = queue.overview().await?;
    if args.json {
        output::print_json(&Shape::of(&args.queue, &overview))?;
    } else {
        output::print(&as_text(&args.queue, &overview))?;
    }
    Ok(status::DONE)
}

#[derive(Serialize)]
struct Shape<'a> {
    queue: &'a str,
    paused: bool,
    counts: CountsShape,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct CountsShape {
    waiting: u64,
    active: u64,
    delayed: u64,
    prioritized: u64,
    completed: u64,
    failed: u64,
    waiting_children: u64,
}

impl<'a> Shape<'a> {
    fn of(queue: &'a str, overview: &Overview) -> Shape<'a> {
        let Counts { waiting, active, delayed, prioritized, completed, failed, waiting_children, .. } = overview.counts;
        let counts = CountsShape { waiting, active, delayed, prioritized, completed, failed, waiting_children };
        Shape { queue, paused: overview.paused, counts }
    }
}

fn as_text(queue: &str, overview: &Overview) -> String {
    let paused = if overview.paused { " (paused)" } else { "" };
    let mut text = format!("{}{paused}\n", output::shown(queue));
    for state in JobState::ALL {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {:<16}  {:>8}", state.as_str(), overview.counts.of(state));
    }
    text
}
