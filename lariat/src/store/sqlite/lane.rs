//! A lane's last call and its answer, so that a repeat has no second effect. A worker's lane also says that the worker is
//! there.

use std::sync::OnceLock;
use std::time::Duration;

use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::clock::ms;
use super::fault::Fault;
use super::work::Work;
use crate::error::{Error, ErrorKind};
use crate::store::exchange::LaneCall;

/// What is known of a call.
pub(super) enum Known<T> {
    /// Nothing; the lane was last heard of then, on the clock of locks.
    New { seen: Option<i64> },
    /// It has been answered so.
    Answered(T),
    /// A later one has been answered.
    Stale,
}

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(super) enum Caller<'a> {
    Producer,
    Worker { name: Option<&'a str> },
}

pub(super) fn known<T: DeserializeOwned>(work: &Work<'_, '_>, call: &LaneCall) -> Result<Known<T>, Fault> {
    let wanted = as_stored(call.number);
    let sql = "SELECT number, seen, answer FROM lariat_lane WHERE queue = ?1 AND base = ?2 AND kept_until > ?3";
    let found = work.tx.one(sql, params![work.queue, call.base, work.tx.boot], |row| {
        let (number, seen): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok((number, seen, if number == wanted { Some(row.get::<_, Vec<u8>>(2)?) } else { None }))
    })?;
    Ok(match found {
        Some((_, _, Some(answer))) => Known::Answered(decode(&answer)?),
        Some((number, _, None)) if number > wanted => Known::Stale,
        found => Known::New { seen: found.map(|(_, seen, _)| seen) },
    })
}

/// Keeps the answer for so long.
pub(super) fn keep<T: Serialize>(
    work: &Work<'_, '_>,
    call: &LaneCall,
    caller: Caller<'_>,
    answer: &T,
    life: Duration,
) -> Result<(), Fault> {
    let written = rmp_serde::to_vec(answer);
    let answer = written.map_err(|e| Error::new(ErrorKind::Store, "an answer cannot be kept").because(e))?;
    let (name, address) = match caller {
        Caller::Producer => (None, None),
        Caller::Worker { name } => (name, Some(address())),
    };
    let boot = work.tx.boot;
    work.tx.run(
        "INSERT INTO lariat_lane (queue, base, number, answer, kept_until, since, seen, name, address)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8)
         ON CONFLICT DO UPDATE SET number = excluded.number, answer = excluded.answer,
             kept_until = excluded.kept_until, seen = excluded.seen",
        params![
            work.queue,
            call.base,
            as_stored(call.number),
            answer,
            boot.saturating_add(ms(life)),
            boot,
            name,
            address
        ],
    )?;
    if call.number == 1 {
        // A lane begins: a good time to forget those that have long ended.
        work.tx.run("DELETE FROM lariat_lane WHERE queue = ?1 AND kept_until <= ?2", params![work.queue, boot])?;
    }
    Ok(())
}

fn decode<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Fault> {
    let read = rmp_serde::from_slice(answer);
    Ok(read.map_err(|e| Error::new(ErrorKind::Data, "the kept answer of a call cannot be read").because(e))?)
}

fn as_stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Where this process is, for people.
fn address() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| format!("process {}", std::process::id()))
}
