//! The rows of new jobs. Where a call adds many they are inserted many a statement, which costs less than as many
//! statements.

use std::fmt::Write as _;

use rusqlite::{CachedStatement, Statement, params};

use super::add::NewJob;
use super::fault::Fault;
use super::queue::code;
use super::tx::Tx;
use super::work::Spot;

/// Jobs of one statement, where there are so many.
const TOGETHER: usize = 20;

/// A job with what the queue has given it.
pub(super) struct NewRow<'j> {
    pub row: i64,
    pub custom: Option<&'j str>,
    pub job: &'j NewJob<'j>,
    pub spot: Spot,
}

/// The statements of a call: looked up once, not for each job.
pub(super) struct Inserts<'c> {
    payload: CachedStatement<'c>,
    job: CachedStatement<'c>,
}

impl<'c> Inserts<'c> {
    /// For so many jobs a statement.
    fn of(tx: &Tx<'c>, jobs: usize) -> Result<Inserts<'c>, Fault> {
        let payload = "INSERT INTO lariat_payload (row, custom, name, data, options, timestamp) VALUES";
        let job = "INSERT INTO lariat_job (row, queue, state, rank, place, priority, delay) VALUES";
        Ok(Inserts { payload: tx.prepare(&values(payload, 6, jobs))?, job: tx.prepare(&values(job, 7, jobs))? })
    }

    fn run(&mut self, queue: i64, rows: &[NewRow<'_>]) -> Result<(), Fault> {
        let (mut payload, mut job) = (1, 1);
        for new in rows {
            let NewJob { name, data, options, timestamp, priority, delay, .. } = new.job;
            payload = bind(&mut self.payload, payload, params![new.row, new.custom, name, data, options, timestamp])?;
            let Spot { state, rank, place } = new.spot;
            job = bind(&mut self.job, job, params![new.row, queue, code(state), rank, place, priority, delay])?;
        }
        self.payload.raw_execute()?;
        self.job.raw_execute()?;
        Ok(())
    }
}

/// Inserts the rows, in their order.
pub(super) fn insert(tx: &Tx<'_>, queue: i64, rows: &[NewRow<'_>]) -> Result<(), Fault> {
    let (many, few) = rows.split_at(rows.len() / TOGETHER * TOGETHER);
    for (rows, together) in [(many, TOGETHER), (few, 1)] {
        if !rows.is_empty() {
            let mut inserts = Inserts::of(tx, together)?;
            for some in rows.chunks(together) {
                inserts.run(queue, some)?;
            }
        }
    }
    Ok(())
}

/// Binds from this parameter on; the next one is returned.
fn bind(statement: &mut Statement<'_>, from: usize, values: &[&dyn rusqlite::ToSql]) -> Result<usize, Fault> {
    for (at, value) in (from..).zip(values) {
        statement.raw_bind_parameter(at, value)?;
    }
    Ok(from + values.len())
}

/// The statement with parameters for so many rows.
fn values(statement: &str, columns: usize, rows: usize) -> String {
    let mut row = "?".to_owned();
    for _ in 1..columns {
        row.push_str(", ?");
    }
    let mut sql = statement.to_owned();
    for at in 0..rows {
        // Writing to a string does not fail.
        let _ = write!(sql, "{} ({row})", if at == 0 { "" } else { "," });
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_parameters() {
        assert_eq!(values("VALUES", 2, 1), "VALUES (?, ?)");
        assert_eq!(values("VALUES", 3, 2), "VALUES (?, ?, ?), (?, ?, ?)");
    }
}
