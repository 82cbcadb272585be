//! Renewal of locks.

use std::sync::Arc;
use std::time::Duration;

use lariat_lock::{BoxFuture, Claim, LockStore, StoreError, Verdict};
use rusqlite::params;
use serde::Serializer as _;

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

/// Extends what is still held, all in one statement. Only where it did not find all of them it looks what became of each.
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
    let list = list(&rows, claims).map_err(|e| Fault::Other(unwritable(e)))?;
    let until = work.tx.boot.saturating_add(ms(lock_duration));
    let extended = work.tx.run(
        "UPDATE lariat_job AS j SET lock_until = ?2, suspect = 0 FROM json_each(?1) AS claim
         WHERE j.row = CAST(claim.key AS INTEGER) AND j.token = claim.value AND j.lock_until > ?3",
        params![list, until, work.tx.boot],
    )?;
    if extended == claims.len() {
        return Ok(vec![Verdict::Extended; claims.len()]);
    }
    claims.iter().map(|claim| verdict(&work, claim)).collect()
}

/// The claims as a JSON object of tokens by row. A row may come twice: both are looked at.
fn list(rows: &[Option<i64>], claims: &[Claim]) -> serde_json::Result<String> {
    let mut list = Vec::with_capacity(claims.len() * 64);
    let mut writer = serde_json::Serializer::new(&mut list);
    let known = rows.iter().zip(claims).filter_map(|(row, claim)| Some(((*row)?, &*claim.token)));
    writer.collect_map(known)?;
    String::from_utf8(list).map_err(serde::de::Error::custom)
}

/// What has become of one claim, after those that are held have been extended.
fn verdict(work: &Work<'_, '_>, claim: &Claim) -> Result<Verdict, Fault> {
    Ok(match work.find(&claim.id)? {
        Some(job) if !job.is_locked(work.tx.boot) => Verdict::Missing,
        Some(job) if job.token.as_deref() == Some(&*claim.token) => Verdict::Extended,
        Some(_) => Verdict::Taken,
        None => Verdict::Missing,
    })
}

fn unwritable(error: serde_json::Error) -> crate::error::Error {
    crate::error::Error::new(crate::error::ErrorKind::Store, "the claims cannot be written as JSON").because(error)
}
