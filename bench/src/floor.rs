//! What SQLite itself costs: one writer, one table, one index, plain rusqlite, no queue. The figures of the cases on a file
//! are measured against it, in the same run.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use crate::Result;
use crate::args::Durability;

const TABLE: &str = "
    CREATE TABLE job (
        id INTEGER PRIMARY KEY,
        state INTEGER NOT NULL,         -- 0 waiting, 1 active, 2 completed
        place INTEGER NOT NULL,
        token TEXT,
        lock_until INTEGER,
        finished_on INTEGER,
        data TEXT NOT NULL
    ) STRICT;
    CREATE INDEX job_order ON job (state, place);";

/// What the cases' jobs have for data.
const DATA: &str = r#"{"t":0,"user":12345,"to":"someone@example.com","ms":0}"#;
const TOKEN: &str = "0b9f7a52-6c1e-4e0a-9a51-0c6a1f6f1c11:12345";

/// The plain table, in a file of its own.
pub(crate) struct Floor {
    file: Connection,
}

impl Floor {
    pub(crate) fn create(path: &Path, durability: Durability) -> Result<Self> {
        let file = Connection::open(path)?;
        file.query_row("PRAGMA journal_mode = wal", [], |_| Ok(()))?;
        file.execute_batch(&format!("PRAGMA synchronous = {};", durability.name()))?;
        file.execute_batch(TABLE)?;
        Ok(Self { file })
    }

    /// Inserts jobs, so many a transaction.
    pub(crate) fn insert(&mut self, jobs: usize, together: usize) -> Result<Duration> {
        let start = Instant::now();
        let mut left = jobs;
        while left > 0 {
            let some = left.min(together);
            let transaction = self.begin()?;
            {
                let mut insert =
                    transaction.prepare_cached("INSERT INTO job (id, state, place, data) VALUES (NULL, 0, ?1, ?2)")?;
                for place in left - some..left {
                    insert.execute(params![i64::try_from(jobs - place)?, DATA])?;
                }
            }
            transaction.commit()?;
            left -= some;
        }
        Ok(start.elapsed())
    }

    /// Claims waiting jobs and finishes them, so many a transaction: each finishes what the one before claimed.
    pub(crate) fn drain(&mut self, jobs: usize, together: usize) -> Result<Duration> {
        let start = Instant::now();
        let mut held: Vec<i64> = Vec::new();
        let mut done = 0;
        while done < jobs {
            let transaction = self.begin()?;
            {
                let mut finish = transaction.prepare_cached(
                    "UPDATE job SET state = 2, token = NULL, lock_until = NULL, finished_on = ?2
                     WHERE id = ?1 AND state = 1 AND token = ?3",
                )?;
                for id in held.drain(..) {
                    done += finish.execute(params![id, 1_800_000_000_000_i64, TOKEN])?;
                }
                let mut claim = transaction.prepare_cached(&format!(
                    "UPDATE job SET state = 1, token = ?1, lock_until = ?2
                     WHERE id IN (SELECT id FROM job WHERE state = 0 ORDER BY place LIMIT {together}) RETURNING id, data"
                ))?;
                let claimed = claim.query_map(params![TOKEN, 1_800_000_000_000_i64], |row| {
                    row.get::<_, String>(1)?;
                    row.get(0)
                })?;
                held.extend(claimed.collect::<rusqlite::Result<Vec<i64>>>()?);
            }
            transaction.commit()?;
            if held.is_empty() && done < jobs {
                return Err(format!("the floor found {done} of {jobs} jobs").into());
            }
        }
        Ok(start.elapsed())
    }

    /// Moves the end of the locks of all these jobs, so many a statement.
    pub(crate) fn renew(&mut self, jobs: usize, together: usize, rounds: usize) -> Result<Duration> {
        self.file.execute("UPDATE job SET state = 1, token = ?1, lock_until = 1", [TOKEN])?;
        let ids: Vec<usize> = (1..=jobs).collect();
        let start = Instant::now();
        for round in 0..rounds {
            for some in ids.chunks(together) {
                let list = serde_json::to_string(some)?;
                let transaction = self.begin()?;
                let renewed = transaction
                    .prepare_cached("UPDATE job SET lock_until = ?1 WHERE id IN (SELECT value FROM json_each(?2))")?
                    .execute(params![1_800_000_000_000_i64 + i64::try_from(round)?, list])?;
                transaction.commit()?;
                if renewed != some.len() {
                    return Err("the floor lost jobs".into());
                }
            }
        }
        Ok(start.elapsed())
    }

    fn begin(&mut self) -> Result<rusqlite::Transaction<'_>> {
        Ok(self.file.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?)
    }
}
