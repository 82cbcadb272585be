//! `lariat add`: one job from the command line, or many from stdin.

use std::future::Future;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use lariat::{Error, JobId, JobOptions, NewJob, Queue};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::lines;
use crate::args::{AddArgs, StoreArgs};
use crate::failure::{Failure, status};
use crate::output;

/// Jobs that are added in one call, or not at all.
const BATCH: usize = 500;
/// How much longer than asked we wait for an answer that is on its way.
const LEEWAY: Duration = Duration::from_millis(500);

#[derive(Serialize)]
struct Added<'a> {
    id: &'a str,
}

pub(super) async fn run(store: &StoreArgs, args: AddArgs) -> Result<u8, Failure> {
    let store = super::open(store)?;
    let queue = Queue::new(&store, &args.queue)?.with_patience(args.wait);
    let adder = Adder { queue, wait: args.wait, json: args.json };
    if args.stdin {
        adder.all().await?;
    } else {
        adder.one(args).await?;
    }
    Ok(status::DONE)
}

struct Adder {
    queue: Queue,
    wait: Duration,
    json: bool,
}

impl Adder {
    async fn one(&self, args: AddArgs) -> Result<(), Failure> {
        let name = args.name.as_deref().unwrap_or_default();
        // BullMQ stores an empty object where there is no payload.
        let data = super::typed_json(args.data.as_deref().unwrap_or("{}"))?;
        let job = NewJob::new(name, &data).options(options(&args)?);
        job.check()?;
        let ids = self.answered(self.queue.add_bulk([job])).await?;
        self.print(&ids)
    }

    /// Reads lines, and adds them in batches, until the end or the first line that is bad.
    async fn all(&self) -> Result<(), Failure> {
        let progress = Progress::new();
        let mut input = BufReader::new(tokio::io::stdin());
        let (mut number, mut added) = (0_usize, 0_usize);
        let mut batch = Vec::with_capacity(BATCH);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = input.read_until(b'\n', &mut line).await;
            let more = read.map_err(|e| Failure::failed(format!("cannot read stdin: {e}")))? > 0;
            if more {
                number += 1;
                if let Some(job) = lines::job(&line).map_err(|why| bad_line(number, &why, added))? {
                    batch.push(job);
                }
            }
            if batch.len() == BATCH || (!more && !batch.is_empty()) {
                let jobs = std::mem::take(&mut batch);
                let ids = self.answered(self.queue.add_bulk(jobs)).await.map_err(|failure| {
                    failure.before(&format!("the batch that ends with line {number}: ")).after(&so_far(added))
                })?;
                added += ids.len();
                progress.added(added);
                self.print(&ids)?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// The handle's own patience ends first, and knows better what has happened; this is for a store that lets us wait.
    async fn answered(&self, adding: impl Future<Output = Result<Vec<JobId>, Error>>) -> Result<Vec<JobId>, Failure> {
        match tokio::time::timeout(self.wait + LEEWAY, adding).await {
            Ok(added) => Ok(added?),
            Err(_) => Err(Failure::unreachable(format!(
                "the store did not answer within {}; it may or may not have added the job",
                output::span(self.wait)
            ))),
        }
    }

    fn print(&self, ids: &[JobId]) -> Result<(), Failure> {
        let mut text = String::new();
        for id in ids {
            if self.json {
                let line = serde_json::to_string(&Added { id: id.as_str() });
                text += &output::one_line(&line.map_err(|e| Failure::failed(e.to_string()))?);
            } else {
                text += &output::shown(id.as_str());
            }
            text.push('\n');
        }
        output::print(&text).map(drop)
    }
}

fn bad_line(number: usize, why: &str, added: usize) -> Failure {
    Failure::failed(format!("line {number}: {why}{}", so_far(added)))
}

fn so_far(added: usize) -> String {
    format!("; {added} jobs were added before its batch, none of it or after it")
}

fn options(args: &AddArgs) -> Result<JobOptions, Failure> {
    let mut options = JobOptions::default();
    options.id = args.id.as_deref().map(JobId::custom).transpose()?;
    options.delay = args.delay.unwrap_or_default();
    options.priority = args.priority.unwrap_or_default();
    options.attempts = args.attempts.unwrap_or_default();
    options.backoff.clone_from(&args.backoff);
    options.lifo = args.lifo;
    options.remove_on_complete = args.remove_on_complete;
    options.remove_on_fail = args.remove_on_fail;
    Ok(options)
}

/// How many so far, on a terminal.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn new() -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} jobs added, {per_sec}") {
                bar.set_style(style);
            }
            bar
        });
        Progress(bar)
    }

    fn added(&self, so_far: usize) {
        if let Some(bar) = &self.0 {
            bar.set_position(so_far as u64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.abandon();
        }
    }
}
