//! Adding jobs.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;

use super::clock::ms;
use super::events::Kind;
use super::fault::Fault;
use super::insert::{NewRow, insert};
use super::lane::{self, Caller, Known};
use super::number::{as_number, job_row};
use super::queue::QueueKey;
use super::tx::Tx;
use super::work::{Side, Work};
use super::writer::{Turn, Writer};
use crate::error::{Error, ErrorKind, Refusal};
use crate::id::JobId;
use crate::job::{JobOptions, JobState};
use crate::store::change::{Add, AddJob};
use crate::store::exchange::LaneCall;
use crate::store::options;

/// How long the answer to a lane's last add is kept. Nobody repeats an add for so long.
const LANE_LIFE: Duration = Duration::from_secs(600);

/// A job as it will be stored.
pub(super) struct NewJob<'a> {
    custom: Option<&'a JobId>,
    pub name: &'a str,
    pub data: &'a str,
    pub options: &'a str,
    pub timestamp: i64,
    pub delay: i64,
    pub priority: i64,
    side: Side,
}

impl<'a> NewJob<'a> {
    /// `options`: those of the job, as text.
    fn new(job: &'a AddJob, options: &'a str) -> NewJob<'a> {
        NewJob {
            custom: job.options.id.as_ref(),
            name: &job.name,
            data: job.data.get(),
            options,
            timestamp: job.timestamp.as_millis(),
            delay: ms(job.options.delay),
            priority: job.options.priority.into(),
            side: Side::of(job.options.lifo, job.options.priority.into()),
        }
    }
}

pub(super) async fn add(
    writer: &Writer,
    key: &Arc<QueueKey>,
    add: &Add,
    deadline: Duration,
) -> Result<Vec<Result<JobId, Refusal>>, Error> {
    let (key, call, jobs) = (Arc::clone(key), add.call.clone(), Arc::clone(&add.jobs));
    let options = options_of(&jobs);
    let write = move |tx: &mut Tx<'_>| write(tx, &key, &call, &new_jobs(&jobs, &options));
    let ids = writer.call(Turn::InOrder, deadline, write).await?;
    Ok(ids.into_iter().map(|id| Ok(JobId::stored(id))).collect())
}

/// The jobs' options as text. Jobs that are added together mostly have the same: those are written once.
fn options_of(jobs: &[AddJob]) -> Vec<Arc<str>> {
    let mut last: Option<(&Arc<JobOptions>, Arc<str>)> = None;
    let mut texts = Vec::with_capacity(jobs.len());
    for job in jobs {
        let text = match &last {
            Some((known, text)) if Arc::ptr_eq(known, &job.options) || *known == &job.options => Arc::clone(text),
            _ => options::encode(&job.options).into(),
        };
        last = Some((&job.options, Arc::clone(&text)));
        texts.push(text);
    }
    texts
}

fn new_jobs<'a>(jobs: &'a [AddJob], options: &'a [Arc<str>]) -> Vec<NewJob<'a>> {
    jobs.iter().zip(options).map(|(job, options)| NewJob::new(job, options)).collect()
}

fn write(tx: &mut Tx<'_>, key: &QueueKey, call: &LaneCall, jobs: &[NewJob<'_>]) -> Result<Vec<String>, Fault> {
    let mut work = Work::on(tx, key, 0)?;
    match lane::known(&work, call)? {
        Known::Answered(ids) => return Ok(ids),
        Known::Stale => {
            return Err(
                Error::new(ErrorKind::Unknown, "a newer add of the same producer has been answered already").into()
            );
        }
        Known::New { .. } => {}
    }
    let ids = add_jobs(&mut work, jobs)?;
    lane::keep(&work, call, Caller::Producer, &ids, LANE_LIFE)?;
    Ok(ids)
}

/// Adds jobs in a transaction that somebody else sees to: whether they are added is not for a repeat to find out.
pub(super) fn add_all(tx: &mut Tx<'_>, key: &QueueKey, jobs: &[AddJob]) -> Result<Vec<String>, Fault> {
    add_jobs(&mut Work::on(tx, key, 0)?, &new_jobs(jobs, &options_of(jobs)))
}

fn add_jobs(work: &mut Work<'_, '_>, jobs: &[NewJob<'_>]) -> Result<Vec<String>, Fault> {
    let mut rows = Vec::with_capacity(jobs.len());
    let ids = jobs.iter().map(|job| work.add(job, &mut rows)).collect::<Result<Vec<_>, _>>()?;
    insert(work.tx, work.queue, &rows)?;
    Ok(ids)
}

impl Work<'_, '_> {
    /// Adds one job, or finds that one of its id exists. Its rows are still to be inserted.
    fn add<'j>(&mut self, job: &'j NewJob<'j>, rows: &mut Vec<NewRow<'j>>) -> Result<String, Fault> {
        let queue = self.edit()?;
        // As with BullMQ every add counts, whatever becomes of it.
        queue.last_number += 1;
        let number = queue.last_number;
        let Some(custom) = job.custom else {
            let id = number.to_string();
            rows.push(self.store(job_row(self.queue, number), None, &id, job)?);
            return Ok(id);
        };
        let id = custom.as_str();
        // It may be that of a job just before.
        insert(self.tx, self.queue, rows)?;
        rows.clear();
        if self.row_of(id)?.is_some() {
            self.emit(Kind::Duplicated, id, None, None)?;
        } else if let Some(given) = as_number(id).filter(|given| *given > number) {
            // Whoever chooses a number has chosen the queue's next one.
            self.edit()?.last_number = given;
            rows.push(self.store(job_row(self.queue, given), None, id, job)?);
        } else {
            let row = job_row(self.queue, number);
            rows.push(self.store(row, Some(id), id, job)?);
            self.tx.run(
                "INSERT INTO lariat_custom_id (queue, id, job) VALUES (?1, ?2, ?3)",
                params![self.queue, id, row],
            )?;
        }
        Ok(id.to_owned())
    }

    fn store<'j>(
        &mut self,
        row: i64,
        custom: Option<&'j str>,
        id: &str,
        job: &'j NewJob<'j>,
    ) -> Result<NewRow<'j>, Fault> {
        let due = job.timestamp.saturating_add(job.delay);
        let spot =
            if job.delay > 0 { self.spot(JobState::Delayed, due)? } else { self.ready_spot(job.priority, job.side)? };
        self.edit()?.enters(spot.state);
        self.emit(Kind::Added, id, Some(job.name), None)?;
        if job.delay > 0 {
            self.emit(Kind::Delayed, id, Some(&due.to_string()), None)?;
        } else {
            self.emit(Kind::Waiting, id, None, None)?;
        }
        Ok(NewRow { row, custom, job, spot })
    }
}
