//! Adding jobs.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{CachedStatement, params};

use super::clock::ms;
use super::events::Kind;
use super::fault::Fault;
use super::lane::{self, Caller, Known};
use super::number::{as_number, job_row};
use super::queue::{QueueKey, code};
use super::tx::Tx;
use super::work::{Side, Work};
use super::writer::{Turn, Writer};
use crate::error::{Error, ErrorKind, Refusal};
use crate::id::JobId;
use crate::job::JobState;
use crate::store::change::{Add, AddJob};
use crate::store::exchange::LaneCall;
use crate::store::options;

/// How long the answer to a lane's last add is kept. Nobody repeats an add for so long.
const LANE_LIFE: Duration = Duration::from_secs(600);

/// A job as it will be stored.
struct NewJob {
    custom: Option<JobId>,
    name: String,
    data: String,
    options: String,
    timestamp: i64,
    delay: i64,
    priority: i64,
    side: Side,
}

impl NewJob {
    fn new(job: &AddJob) -> NewJob {
        NewJob {
            custom: job.options.id.clone(),
            name: job.name.clone(),
            data: job.data.get().to_owned(),
            options: options::encode(&job.options),
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
    let (key, call) = (Arc::clone(key), add.call.clone());
    let jobs: Vec<NewJob> = add.jobs.iter().map(NewJob::new).collect();
    let ids = writer.call(Turn::InOrder, deadline, move |tx| write(tx, &key, &call, &jobs)).await?;
    Ok(ids.into_iter().map(|id| Ok(JobId::stored(id))).collect())
}

fn write(tx: &mut Tx<'_>, key: &QueueKey, call: &LaneCall, jobs: &[NewJob]) -> Result<Vec<String>, Fault> {
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
    let mut inserts = Inserts::of(&work)?;
    let ids = jobs.iter().map(|job| work.add(job, &mut inserts)).collect::<Result<Vec<_>, _>>()?;
    lane::keep(&work, call, Caller::Producer, &ids, LANE_LIFE)?;
    Ok(ids)
}

/// The statements of each job: looked up once a call, not once a job.
struct Inserts<'c> {
    payload: CachedStatement<'c>,
    job: CachedStatement<'c>,
}

impl<'c> Inserts<'c> {
    fn of(work: &Work<'_, 'c>) -> Result<Inserts<'c>, Fault> {
        let payload =
            "INSERT INTO payload (row, custom, name, data, options, timestamp) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let job =
            "INSERT INTO job (row, queue, state, rank, place, priority, delay) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        Ok(Inserts { payload: work.tx.prepare(payload)?, job: work.tx.prepare(job)? })
    }
}

/// Adds jobs in a transaction that somebody else sees to: whether they are added is not for a repeat to find out.
pub(super) fn add_all(tx: &mut Tx<'_>, key: &QueueKey, jobs: &[AddJob]) -> Result<Vec<String>, Fault> {
    let mut work = Work::on(tx, key, 0)?;
    let mut inserts = Inserts::of(&work)?;
    jobs.iter().map(|job| work.add(&NewJob::new(job), &mut inserts)).collect()
}

impl Work<'_, '_> {
    /// Adds one job, or finds that one of its id exists.
    fn add(&mut self, job: &NewJob, inserts: &mut Inserts<'_>) -> Result<String, Fault> {
        let queue = self.edit()?;
        // As with BullMQ every add counts, whatever becomes of it.
        queue.last_number += 1;
        let number = queue.last_number;
        let Some(custom) = &job.custom else {
            let id = number.to_string();
            self.store(job_row(self.queue, number), None, &id, job, inserts)?;
            return Ok(id);
        };
        let id = custom.as_str();
        if self.row_of(id)?.is_some() {
            self.emit(Kind::Duplicated, id, None, None)?;
        } else if let Some(given) = as_number(id).filter(|given| *given > number) {
            // Whoever chooses a number has chosen the queue's next one.
            self.edit()?.last_number = given;
            self.store(job_row(self.queue, given), None, id, job, inserts)?;
        } else {
            let row = job_row(self.queue, number);
            self.store(row, Some(id), id, job, inserts)?;
            self.tx.run("INSERT INTO custom_id (queue, id, job) VALUES (?1, ?2, ?3)", params![self.queue, id, row])?;
        }
        Ok(id.to_owned())
    }

    fn store(
        &mut self,
        row: i64,
        custom: Option<&str>,
        id: &str,
        job: &NewJob,
        inserts: &mut Inserts<'_>,
    ) -> Result<(), Fault> {
        let due = job.timestamp.saturating_add(job.delay);
        let spot =
            if job.delay > 0 { self.spot(JobState::Delayed, due)? } else { self.ready_spot(job.priority, job.side)? };
        inserts.payload.execute(params![row, custom, job.name, job.data, job.options, job.timestamp])?;
        let (state, rank, place) = (code(spot.state), spot.rank, spot.place);
        inserts.job.execute(params![row, self.queue, state, rank, place, job.priority, job.delay])?;
        self.edit()?.enters(spot.state);
        self.emit(Kind::Added, id, Some(&job.name), None)?;
        if job.delay > 0 {
            self.emit(Kind::Delayed, id, Some(&due.to_string()), None)
        } else {
            self.emit(Kind::Waiting, id, None, None)
        }
    }
}
