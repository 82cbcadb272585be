//! `lariat job ls`.

use std::collections::HashSet;

use lariat::{DamagedJob, JobPage, JobRecord, JobState, Queue};

use super::record::{self, Shape};
use crate::args::{ListArgs, StoreArgs};
use crate::failure::{Failure, status};
use crate::output::{self, Array, Reader};
use crate::table::Table;

/// Jobs that are read in one call.
const PAGE: u64 = 100;
/// Characters of a reason that are shown in a list.
const REASON: usize = 120;

pub(super) async fn run(store: &StoreArgs, args: &ListArgs) -> Result<u8, Failure> {
    let queue = crate::store::open_queue(store, &args.queue)?;
    let mut pages = Pages::new(&queue, args);
    let mut form = if args.json { Form::Json(Array::default()) } else { Form::text(args.state) };
    let mut damaged = 0_usize;
    while let Some(page) = pages.next().await? {
        let reader = output::print(&form.page(&page.jobs, args.state)?)?;
        for DamagedJob { id, why, .. } in &page.damaged {
            output::say(&format!("queue {:?}: job {id:?} cannot be read: {why}", args.queue));
        }
        damaged += page.damaged.len();
        if reader == Reader::Gone {
            return Ok(status::DONE);
        }
    }
    if let Form::Json(array) = form {
        output::print(&format!("{}\n", array.end()))?;
    }
    Ok(if damaged > 0 { status::FAILED } else { status::DONE })
}

/// A listing, page by page. A job that comes again in the next page is not listed twice: the queue goes on meanwhile.
struct Pages<'a> {
    queue: &'a Queue,
    args: &'a ListArgs,
    from: u64,
    left: u64,
    /// The ids of the last page, as it was read.
    listed: HashSet<String>,
}

impl<'a> Pages<'a> {
    fn new(queue: &'a Queue, args: &'a ListArgs) -> Pages<'a> {
        let left = args.count.unwrap_or(u64::MAX);
        Pages { queue, args, from: args.from, left, listed: HashSet::new() }
    }

    /// The next page; None behind the last.
    async fn next(&mut self) -> Result<Option<JobPage>, Failure> {
        let count = self.left.min(PAGE);
        if count == 0 {
            return Ok(None);
        }
        let state = self.args.state;
        let read = if self.args.newest {
            self.queue.newest_jobs(state, self.from, count).await
        } else {
            self.queue.jobs(state, self.from, count).await
        };
        let mut page = read?;
        let read = (page.jobs.len() + page.damaged.len()) as u64;
        if read == 0 {
            return Ok(None);
        }
        let ids = page.jobs.iter().map(|job| job.id.as_str()).chain(page.damaged.iter().map(|job| job.id.as_str()));
        let listed = std::mem::replace(&mut self.listed, ids.map(str::to_owned).collect());
        page.jobs.retain(|job| !listed.contains(job.id.as_str()));
        page.damaged.retain(|job| !listed.contains(&job.id));
        self.from = page.next;
        self.left -= (page.jobs.len() + page.damaged.len()) as u64;
        Ok(Some(page))
    }
}

enum Form {
    Json(Array),
    Text(Table<5>),
}

impl Form {
    fn text(state: JobState) -> Form {
        let note = match state {
            JobState::Delayed => "delay",
            JobState::Prioritized => "priority",
            JobState::Failed => "reason",
            JobState::Active => "worker",
            _ => "",
        };
        Form::Text(Table::new(["id", "name", "attempts", record::since_what(state), note]))
    }

    fn page(&mut self, jobs: &[JobRecord], state: JobState) -> Result<String, Failure> {
        match self {
            Form::Json(array) => jobs.iter().map(|job| array.element(&Shape::of(job, Some(state)))).collect(),
            Form::Text(table) => Ok(table.lines(jobs.iter().map(|job| row(job, state)).collect())),
        }
    }
}

fn row(job: &JobRecord, state: JobState) -> [String; 5] {
    let note = match state {
        JobState::Delayed => output::span(job.delay),
        JobState::Prioritized => job.priority.to_string(),
        JobState::Failed => cut(job.failed_reason.as_deref().unwrap_or_default()),
        JobState::Active => job.processed_by.clone().unwrap_or_default(),
        _ => String::new(),
    };
    let attempts = format!("{} of {}", job.attempts_made, job.options.attempts.max(1));
    let since = record::since(job, state).map(output::time).unwrap_or_default();
    [job.id.as_str().to_owned(), job.name.clone(), attempts, since, note]
}

fn cut(reason: &str) -> String {
    match reason.char_indices().nth(REASON) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason.to_owned(),
    }
}
