//! `lariat queue ls` and `lariat queue stats`.

use std::fmt::Write as _;

use lariat::{Counts, JobState, Overview, Queue};
use serde::Serialize;

use super::limit::Limits;
use crate::args::{OneQueue, QueuesArgs, StoreArgs};
use crate::failure::{Failure, status};
use crate::output::{self, Array, Reader};
use crate::table::Table;

/// Queues whose numbers are printed together.
const PAGE: usize = 50;

pub(super) async fn one(store: &StoreArgs, args: &OneQueue) -> Result<u8, Failure> {
    let overview = crate::store::open_queue(store, &args.queue)?.overview().await?;
    if args.json {
        output::print_json(&Shape::of(&args.queue, &overview))?;
    } else {
        output::print(&as_text(&args.queue, &overview))?;
    }
    Ok(status::DONE)
}

pub(super) async fn all(store: &StoreArgs, args: &QueuesArgs) -> Result<u8, Failure> {
    let store = crate::store::open(store)?;
    let names = store.queues().await?;
    let (mut array, mut table) = (Array::default(), Table::new(HEADS));
    for names in names.chunks(PAGE) {
        let (mut text, mut rows) = (String::new(), Vec::new());
        for name in names {
            let overview = Queue::new(&store, name.as_str())?.overview().await?;
            if args.json {
                text += &array.element(&Shape::of(name.as_str(), &overview))?;
            } else {
                rows.push(row(name.as_str(), &overview));
            }
        }
        text += &table.lines(rows);
        if output::print(&text)? == Reader::Gone {
            return Ok(status::DONE);
        }
    }
    if args.json {
        output::print(&format!("{}\n", array.end()))?;
    }
    Ok(status::DONE)
}

const HEADS: [&str; 9] =
    ["queue", "#waiting", "#active", "#delayed", "#prioritized", "#completed", "#failed", "#waiting-children", ""];

fn row(queue: &str, overview: &Overview) -> [String; 9] {
    let mut row: [String; 9] = Default::default();
    queue.clone_into(&mut row[0]);
    for (cell, state) in row[1..].iter_mut().zip(JobState::ALL) {
        *cell = overview.counts.of(state).to_string();
    }
    if overview.paused {
        "paused".clone_into(&mut row[8]);
    }
    row
}

#[derive(Serialize)]
struct Shape<'a> {
    queue: &'a str,
    paused: bool,
    counts: CountsShape,
    limits: Limits,
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
        Shape { queue, paused: overview.paused, counts, limits: Limits::of(overview) }
    }
}

fn as_text(queue: &str, overview: &Overview) -> String {
    let paused = if overview.paused { " (paused)" } else { "" };
    let mut text = format!("{}{paused}\n", output::shown(queue));
    for state in JobState::ALL {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {:<16}  {:>8}", state.as_str(), overview.counts.of(state));
    }
    let limits = Limits::of(overview);
    for line in if limits.limit_anything() { limits.lines() } else { vec![] } {
        let _ = writeln!(text, "  {line}");
    }
    text
}
