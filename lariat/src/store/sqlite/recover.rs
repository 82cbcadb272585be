//! The search for stalled jobs, slice by slice: first active jobs that the search before suspected and whose lock has
//! lapsed are put back, then all that are active are suspected.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;

use super::clock::ms;
use super::events::Kind;
use super::fault::Fault;
use super::number::id_of;
use super::queue::{QueueKey, code};
use super::record::custom_id;
use super::tx::Tx;
use super::work::{Side, Work};
use super::writer::{Turn, Writer};
use crate::error::{Error, ErrorKind};
use crate::id::JobId;
use crate::job::JobState;
use crate::store::exchange::{Recover, RecoverCursor, Recovered};

/// Active jobs that one slice looks at, and those that it puts back at most.
const MOST_LOOKED_AT: i64 = 2000;
const MOST_PUT_BACK: usize = 200;

/// The failure that a job gets that has stalled too often, in BullMQ's words.
const TOO_OFTEN: &str = "job stalled more than allowable limit";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Search,
    Suspect,
}

/// An active job as the search sees it.
struct Candidate {
    row: i64,
    place: i64,
    lapsed: bool,
    stalls: i64,
    scheduled: bool,
    custom: Option<String>,
}

pub(super) async fn recover(
    writer: &Writer,
    key: &Arc<QueueKey>,
    recover: &Recover,
    deadline: Duration,
) -> Result<Recovered, Error> {
    let (key, recover) = (Arc::clone(key), recover.clone());
    writer.call(Turn::InOrder, deadline, move |tx| slice(tx, &key, &recover)).await
}

fn slice(tx: &mut Tx<'_>, key: &QueueKey, recover: &Recover) -> Result<Recovered, Fault> {
    let mut work = Work::on(tx, key, recover.now.as_millis())?;
    let Some((phase, passed)) = begin(&mut work, recover)? else { return Ok(Recovered::default()) };
    let mut found = Recovered::default();
    let next = match phase {
        Phase::Search => match work.search(passed, recover.max_stalled, &mut found.ids)? {
            Some(passed) => Some((Phase::Search, passed)),
            None => Some((Phase::Suspect, i64::MIN)),
        },
        Phase::Suspect => work.suspect(passed)?.map(|passed| (Phase::Suspect, passed)),
    };
    found.more = next.map(cursor);
    Ok(found)
}

/// Where this slice begins; None where somebody has searched within the interval.
fn begin(work: &mut Work<'_, '_>, recover: &Recover) -> Result<Option<(Phase, i64)>, Fault> {
    if let Some(RecoverCursor(cursor)) = &recover.after {
        return match parse(cursor) {
            Some(place) => Ok(Some(place)),
            None => Err(Error::new(ErrorKind::Store, "a search goes on where none has been").into()),
        };
    }
    let boot = work.tx.boot;
    let queue = work.state()?;
    if queue.searched_until > boot {
        return Ok(None);
    }
    let busy = queue.count(JobState::Active) > 0;
    work.edit()?.searched_until = boot.saturating_add(ms(recover.interval));
    Ok(busy.then_some((Phase::Search, i64::MIN)))
}

fn cursor((phase, passed): (Phase, i64)) -> RecoverCursor {
    RecoverCursor(format!("{} {passed}", if phase == Phase::Search { "search" } else { "suspect" }))
}

fn parse(cursor: &str) -> Option<(Phase, i64)> {
    let (phase, passed) = cursor.split_once(' ')?;
    let phase = match phase {
        "search" => Phase::Search,
        "suspect" => Phase::Suspect,
        _ => return None,
    };
    Some((phase, passed.parse().ok()?))
}

impl Work<'_, '_> {
    /// Looks at active jobs behind a place; where to go on, or None at the end.
    fn search(&mut self, passed: i64, most: u32, ids: &mut Vec<JobId>) -> Result<Option<i64>, Fault> {
        let candidates = self.tx.all(
            "SELECT j.row, place, suspect AND ifnull(lock_until, 0) <= ?4, stalls, p.scheduler IS NOT NULL, p.custom
             FROM lariat_job j LEFT JOIN lariat_payload p ON p.row = j.row
             WHERE queue = ?1 AND state = ?2 AND rank = 0 AND place > ?3 ORDER BY place LIMIT ?5",
            params![self.queue, code(JobState::Active), passed, self.tx.boot, MOST_LOOKED_AT],
            |row| {
                Ok(Candidate {
                    row: row.get(0)?,
                    place: row.get(1)?,
                    lapsed: row.get(2)?,
                    stalls: row.get(3)?,
                    scheduled: row.get(4)?,
                    custom: custom_id(row, 5)?,
                })
            },
        )?;
        // Where the window was full there may be more behind it.
        let full = i64::try_from(candidates.len()).is_ok_and(|found| found == MOST_LOOKED_AT);
        let last = candidates.last().map(|candidate| candidate.place).filter(|_| full);
        for candidate in candidates {
            let place = candidate.place;
            if candidate.lapsed {
                ids.push(self.put_back_stalled(candidate, most)?);
                if ids.len() >= MOST_PUT_BACK {
                    return Ok(Some(place));
                }
            }
        }
        Ok(last)
    }

    /// Back to the front of the queue, whatever its priority. One that stalls too often is to fail when it is taken next,
    /// unless a scheduler goes on with it.
    fn put_back_stalled(&mut self, job: Candidate, most: u32) -> Result<JobId, Fault> {
        let reason = (job.stalls + 1 > i64::from(most) && !job.scheduled).then_some(TOO_OFTEN);
        self.tx.run(
            "UPDATE lariat_job SET stalls = stalls + 1, deferred_failure = ifnull(?2, deferred_failure) WHERE row = ?1",
            params![job.row, reason],
        )?;
        let spot = self.ready_spot(0, Side::Before)?;
        self.put(job.row, JobState::Active, spot)?;
        let id = id_of(job.row, job.custom);
        self.emit(Kind::Waiting, id.as_str(), None, Some(JobState::Active))?;
        self.emit(Kind::Stalled, id.as_str(), None, None)?;
        Ok(id)
    }

    /// Suspects active jobs behind a place; where to go on, or None at the end.
    fn suspect(&mut self, passed: i64) -> Result<Option<i64>, Fault> {
        let last: Option<i64> = self.tx.one(
            "SELECT max(place) FROM (SELECT place FROM lariat_job WHERE queue = ?1 AND state = ?2 AND rank = 0 AND place > ?3
             ORDER BY place LIMIT ?4)",
            params![self.queue, code(JobState::Active), passed, MOST_LOOKED_AT],
            |row| row.get(0),
        )?.flatten();
        let Some(last) = last else { return Ok(None) };
        self.tx.run(
            "UPDATE lariat_job SET suspect = 1
             WHERE queue = ?1 AND state = ?2 AND rank = 0 AND place > ?3 AND place <= ?4 AND suspect = 0",
            params![self.queue, code(JobState::Active), passed, last],
        )?;
        Ok(Some(last))
    }
}
