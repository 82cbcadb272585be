//! A worker's exchange and its wait.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::clock::ms;
use super::events::{self, Kind};
use super::fault::Fault;
use super::finish::Ends;
use super::lane::{self, Caller, Known};
use super::queue::QueueKey;
use super::record::{COLUMNS, RawJob};
use super::take::{Taking, token};
use super::tx::Tx;
use super::wake::Signal;
use super::work::Work;
use super::writer::{Turn, Writer};
use crate::error::{Error, ErrorKind, Refusal};
use crate::job::JobState;
use crate::store::exchange::{Dropped, Exchange, Exchanged, Hint, SettleIn, Taken, Transition, Verdict, Woken};
use crate::time::Timestamp;

/// The least time for which a call's answer is kept: a caller that was stopped for longer than its locks last still learns
/// what became of its call.
const SHORTEST_LIFE: Duration = Duration::from_secs(300);
/// How often a worker that neither hands in nor takes shows that it is there, in ms.
const SIGN_OF_LIFE: i64 = 10_000;

/// A call's answer as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    /// 0 accepted, 1 resume, below 0 a refusal.
    verdicts: Vec<i64>,
    /// The number of the first token.
    first: u64,
    /// Rows of the jobs that were taken.
    taken: Vec<i64>,
}

/// An answer as the writer makes it; the rest is made of it in the caller's time.
struct Answer {
    verdicts: Vec<Verdict>,
    /// Jobs and their tokens.
    jobs: Vec<(RawJob, String)>,
    hint: Hint,
    dropped: Vec<String>,
}

pub(super) async fn exchange(
    writer: &Writer,
    key: &Arc<QueueKey>,
    exchange: &Exchange,
    deadline: Duration,
) -> Result<Exchanged, Error> {
    let (key, exchange) = (Arc::clone(key), exchange.clone());
    let answer = writer.call(Turn::InOrder, deadline, move |tx| write(tx, &key, &exchange)).await?;
    let jobs = answer.jobs.into_iter().map(|(job, token)| taken(job, token)).collect();
    let why = "its payload is missing";
    let dropped = answer.dropped.into_iter().map(|id| Dropped { id, why: why.to_owned() }).collect();
    Ok(Exchanged { verdicts: answer.verdicts, jobs, hint: answer.hint, dropped })
}

fn taken(job: RawJob, token: String) -> Taken {
    Taken { id: job.id.clone(), token: token.into(), record: job.record() }
}

fn write(tx: &mut Tx<'_>, key: &QueueKey, exchange: &Exchange) -> Result<Answer, Fault> {
    let mut work = Work::on(tx, key, exchange.now.as_millis())?;
    let seen = match lane::known(&work, &exchange.call)? {
        Known::Answered(recorded) => return again(&mut work, exchange, &recorded),
        Known::Stale => {
            return Err(Error::new(ErrorKind::Store, "a newer call of the same lane has been answered already").into());
        }
        Known::New { seen } => seen,
    };
    let mut ends = Ends::of(&work)?;
    let verdicts =
        exchange.outcomes.iter().map(|settle| work.finish(settle, &mut ends)).collect::<Result<Vec<_>, _>>()?;
    work.close_ends(ends, exchange.metrics)?;
    let mut taking = Taking::default();
    let hint = if exchange.want > 0 { work.take(exchange, &mut taking)? } else { Hint::Again };
    drained(&mut work, exchange, &verdicts, &taking, hint)?;
    let is_seen = seen.is_some_and(|seen| work.tx.boot - seen < SIGN_OF_LIFE);
    // A call that did nothing may as well be made anew: it is not worth a write.
    if !(verdicts.is_empty() && taking.jobs.is_empty() && is_seen) {
        record(&work, exchange, &verdicts, &taking)?;
    }
    let jobs = taking.jobs.into_iter().enumerate().map(|(place, job)| (job, token(exchange, place))).collect();
    Ok(Answer { verdicts, jobs, hint, dropped: taking.dropped })
}

fn record(work: &Work<'_, '_>, exchange: &Exchange, verdicts: &[Verdict], taking: &Taking) -> Result<(), Fault> {
    let recorded = Recorded {
        verdicts: verdicts.iter().map(code).collect(),
        first: exchange.lease.first,
        taken: taking.jobs.iter().map(|job| job.row).collect(),
    };
    let caller = Caller::Worker { name: exchange.lease.worker.as_deref() };
    lane::keep(work, &exchange.call, caller, &recorded, exchange.lease.lock_duration.max(SHORTEST_LIFE))
}

fn code(verdict: &Verdict) -> i64 {
    match verdict {
        Verdict::Accepted | Verdict::Broken(_) => 0,
        Verdict::Resume => 1,
        Verdict::Refused(refusal) => refusal.code(),
    }
}

fn verdict(code: i64) -> Verdict {
    match Refusal::from_code(code) {
        Some(refusal) => Verdict::Refused(refusal),
        None if code == 1 => Verdict::Resume,
        None => Verdict::Accepted,
    }
}

/// Says that nothing is left, when the last job has just ended.
fn drained(
    work: &mut Work<'_, '_>,
    exchange: &Exchange,
    verdicts: &[Verdict],
    taking: &Taking,
    hint: Hint,
) -> Result<(), Fault> {
    let accepted = exchange.outcomes.iter().zip(verdicts).rfind(|(_, verdict)| **verdict == Verdict::Accepted);
    let ended =
        accepted.is_some_and(|(settle, _)| matches!(settle.to, Transition::Complete { .. } | Transition::Fail { .. }));
    if !ended || !taking.jobs.is_empty() || (exchange.want > 0 && hint != Hint::Wait) {
        return Ok(());
    }
    drained_where_empty(work)
}

fn drained_where_empty(work: &mut Work<'_, '_>) -> Result<(), Fault> {
    let queue = work.state()?;
    if queue.ready() == 0 && queue.count(JobState::Active) == 0 {
        events::emit(work.tx, work.queue, Kind::Drained, None, None, None)?;
    }
    Ok(())
}

/// One job's end in a transaction that somebody else sees to: what an exchange with nothing but it would do, without a
/// lane. It is an error where it is not accepted.
pub(super) fn settle_alone(tx: &mut Tx<'_>, key: &QueueKey, settle: &SettleIn<'_>) -> Result<(), Fault> {
    let mut work = Work::on(tx, key, settle.now.as_millis())?;
    let mut ends = Ends::of(&work)?;
    match work.finish(settle.settle, &mut ends)? {
        Verdict::Accepted | Verdict::Resume => {}
        Verdict::Refused(refusal) => return Err(refusal.into()),
        Verdict::Broken(why) => return Err(Error::new(ErrorKind::Store, why).into()),
    }
    work.close_ends(ends, settle.metrics)?;
    drained_where_empty(&mut work)
}

/// A repeated call: the verdicts of the first time, and those jobs that it took and whose lock is still the one that it
/// set. That lock starts anew, and they are no longer suspected to be stalled.
fn again(work: &mut Work<'_, '_>, exchange: &Exchange, recorded: &Recorded) -> Result<Answer, Fault> {
    let mut jobs = Vec::with_capacity(recorded.taken.len());
    let until = work.tx.boot.saturating_add(ms(exchange.lease.lock_duration));
    for (place, row) in recorded.taken.iter().enumerate() {
        let token = format!("{}:{}", exchange.call.base, recorded.first + place as u64);
        let held = work.tx.run(
            "UPDATE lariat_job SET lock_until = ?3, suspect = 0 WHERE row = ?1 AND token = ?2 AND lock_until > ?4",
            params![row, token, until, work.tx.boot],
        )?;
        if held == 0 {
            continue;
        }
        let sql =
            format!("SELECT {COLUMNS} FROM lariat_job j LEFT JOIN lariat_payload p ON p.row = j.row WHERE j.row = ?1");
        jobs.extend(work.tx.one(&sql, [row], RawJob::read)?.map(|job| (job, token)));
    }
    let verdicts = recorded.verdicts.iter().map(|code| verdict(*code)).collect();
    Ok(Answer { verdicts, jobs, hint: Hint::Again, dropped: Vec::new() })
}

/// Waits until there may be work. Nothing is used up by a wait, so one that is dropped loses nothing.
pub(super) async fn wait(writer: Arc<Writer>, key: Arc<QueueKey>, longest: Duration) -> Result<Woken, Error> {
    let ends = tokio::time::Instant::now() + longest;
    let mut signals = writer.watch(&key);
    look(&writer, &key).await?;
    loop {
        let left = ends.saturating_duration_since(tokio::time::Instant::now());
        if let Some(woken) = woken(*signals.borrow_and_update(), left) {
            return Ok(woken);
        }
        tokio::select! {
            // It cannot be closed while we hold the writer.
            _ = signals.changed() => {}
            () = tokio::time::sleep_until(ends) => return Ok(Woken::TimedOut),
        }
    }
}

/// A due time counts when it lies within the wait, and not just at its end, where the caller will look anyway.
fn woken(signal: Signal, left: Duration) -> Option<Woken> {
    const JUST: Duration = Duration::from_millis(5);
    if signal.ready {
        return Some(Woken::Ready);
    }
    let due = Timestamp::from_millis(signal.due?);
    (due.since(Timestamp::now()) + JUST < left).then_some(Woken::DueAt(due))
}

/// Has the writer look at the queues that are watched.
pub(super) async fn look(writer: &Writer, key: &Arc<QueueKey>) -> Result<(), Error> {
    let key = Arc::clone(key);
    // The signals are sent at the end of every batch; this one only has to be there.
    writer.call(Turn::InOrder, super::PATIENCE, move |tx| tx.find_queue(&key).map(drop)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_for_work_and_for_what_is_due_before_its_end() {
        let in_ms = |ms: u64| Some(Timestamp::now().after(Duration::from_millis(ms)).as_millis());
        let left = Duration::from_secs(5);
        assert_eq!(woken(Signal { ready: true, ..Signal::default() }, left), Some(Woken::Ready));
        assert!(matches!(woken(Signal { due: in_ms(100), ..Signal::default() }, left), Some(Woken::DueAt(_))));
        assert_eq!(woken(Signal { due: in_ms(60_000), ..Signal::default() }, left), None);
        assert_eq!(woken(Signal::default(), left), None);
    }

    #[test]
    fn kept_verdicts_are_read_again() {
        for known in [
            Verdict::Accepted,
            Verdict::Resume,
            Verdict::Refused(Refusal::MissingJob),
            Verdict::Refused(Refusal::LockTaken),
        ] {
            assert_eq!(verdict(code(&known)), known);
        }
    }
}
