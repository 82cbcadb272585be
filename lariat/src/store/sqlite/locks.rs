//! Renewal of locks.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use lariat_lock::{BoxFuture, Claim, LockStore, StoreError, Verdict};
use rusqlite::params;

use super::clock::ms;
use super::fault::Fault;
use super::number::{as_number, job_row};
use super::queue::QueueKey;
use super::tx::Tx;
use super::work::Work;
use super::writer::{Turn, Writer};

/// The manager ends a call long before.
const DEADLINE: Duration = Duration::from_secs(10);

/// The locks of one queue.
pub(super) struct SqliteLocks {
    pub writer: Arc<Writer>,
    pub key: Arc<QueueKey>,
}

impl LockStore for SqliteLocks {
    fn extend<'a>(
        &'a self,
        claims: &'a [Claim],
        lock_duration: Duration,
    ) -> BoxFuture<'a, Result<Vec<Verdict>, StoreError>> {
        Box::pin(async move {
            if claims.is_empty() {
                return Ok(Vec::new());
            }
            let (key, claims) = (Arc::clone(&self.key), claims.to_vec());
            let answer =
                self.writer.call(Turn::First, DEADLINE, move |tx| extend(tx, &key, &claims, lock_duration)).await;
            answer.map_err(StoreError::new)
        })
    }
}

/// Extends what is still held, all in one statement. Only for the others it looks what they are.
fn extend(tx: &mut Tx<'_>, key: &QueueKey, claims: &[Claim], lock_duration: Duration) -> Result<Vec<Verdict>, Fault> {
    let Some(queue) = tx.find_queue(key)? else { return Ok(vec![Verdict::Missing; claims.len()]) };
    let work = Work { tx, key, queue, now: 0 };
    let mut rows = Vec::with_capacity(claims.len());
    for claim in claims {
        // A number is taken for a row here; the token says whether it is that job's.
        rows.push(match as_number(&claim.id) {
            Some(number) => Some(job_row(queue, number)),
            None => work.row_of(&claim.id)?,
        });
    }
    let held: Vec<(i64, &str)> =
        rows.iter().zip(claims).filter_map(|(row, claim)| Some(((*row)?, &*claim.token))).collect();
    let list = serde_json::to_string(&held).map_err(|e| Fault::Other(unwritable(e)))?;
    let until = work.tx.boot.saturating_add(ms(lock_duration));
    let extended = work.tx.all(
        "UPDATE job SET lock_until = ?2, suspect = 0 FROM json_each(?1) AS claim
         WHERE job.row = claim.value ->> 0 AND job.token = claim.value ->> 1 AND job.lock_until > ?3
         RETURNING job.row",
        params![list, until, work.tx.boot],
        |row| row.get::<_, i64>(0),
    )?;
    let extended: HashSet<i64> = extended.into_iter().collect();
    rows.iter()
        .zip(claims)
        .map(|(row, claim)| match row {
            Some(row) if extended.contains(row) => Ok(Verdict::Extended),
            _ => not_extended(&work, claim),
        })
        .collect()
}

/// Two claims on one job in one call have different tokens, so one of them is here.
fn not_extended(work: &Work<'_, '_>, claim: &Claim) -> Result<Verdict, Fault> {
    let job = work.find(&claim.id)?;
    Ok(match job {
        Some(job) if job.is_locked(work.tx.boot) && job.token.as_deref() != Some(&*claim.token) => Verdict::Taken,
        _ => Verdict::Missing,
    })
}

fn unwritable(error: serde_json::Error) -> crate::error::Error {
    crate::error::Error::new(crate::error::ErrorKind::Store, "the claims cannot be written as JSON").because(error)
}
