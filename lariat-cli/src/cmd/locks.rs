//! `lariat locks`.

use lariat::{HeldJob, Timestamp};
use serde::Serialize;

use crate::args::{LocksArgs, StoreArgs};
use crate::failure::{Failure, status};
use crate::output::{self, Array};
use crate::table::Table;

/// Active jobs that are looked at: as many as no sane set of workers runs at a time.
const MOST: u64 = 10_000;

pub(super) async fn run(store: &StoreArgs, args: &LocksArgs) -> Result<u8, Failure> {
    let held = crate::store::open_queue(store, &args.queue)?.locks(MOST).await?;
    let now = Timestamp::now();
    let text = if args.json {
        let mut array = Array::default();
        let elements: Result<String, Failure> = held.iter().map(|job| array.element(&Shape::of(job, now))).collect();
        format!("{}{}\n", elements?, array.end())
    } else {
        let mut table = Table::new(["job", "name", "worker", "token", "#held", "#left"]);
        table.lines(held.iter().map(|job| row(job, now)).collect())
    };
    output::print(&text)?;
    if held.len() as u64 >= MOST {
        output::say(&format!("only the {MOST} jobs that have been held longest are listed"));
    }
    Ok(status::DONE)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape<'a> {
    id: &'a str,
    name: Option<&'a str>,
    token: Option<&'a str>,
    worker: Option<&'a str>,
    held_ms: Option<u128>,
    left_ms: Option<u128>,
}

impl<'a> Shape<'a> {
    fn of(job: &'a HeldJob, now: Timestamp) -> Shape<'a> {
        Shape {
            id: job.id.as_str(),
            name: job.name.as_deref(),
            token: job.token.as_deref(),
            worker: job.worker.as_deref(),
            held_ms: job.since.map(|since| now.since(since).as_millis()),
            left_ms: job.left.map(|left| left.as_millis()),
        }
    }
}

fn row(job: &HeldJob, now: Timestamp) -> [String; 6] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        job.id.as_str().to_owned(),
        or_dash(job.name.clone()),
        or_dash(job.worker.clone()),
        job.token.as_deref().map_or("held by nobody".to_owned(), |token| format!("*{}", token.trim_start_matches('*'))),
        or_dash(job.since.map(|since| output::span(now.since(since)))),
        or_dash(job.left.map(output::span)),
    ]
}
