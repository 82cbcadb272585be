//! A SQLite file of the test's own, and what only somebody who knows its tables can do to it.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use interop::wait;
use rusqlite::{Connection, OptionalExtension, params};
use tempfile::TempDir;

/// Gone with its folder.
pub(crate) struct TestFile {
    folder: TempDir,
    frozen: Mutex<Option<Connection>>,
}

/// The clock of locks.
fn boot_ms() -> i64 {
    (lariat_lock::Instant::now().as_nanos() / 1_000_000).try_into().unwrap()
}

impl TestFile {
    pub(crate) fn new() -> TestFile {
        TestFile { folder: TempDir::new().unwrap(), frozen: Mutex::default() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("jobs.db")
    }

    /// Many tests at once would keep the disk busy with syncs, and some have locks of less than a second.
    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}?durability=normal", self.path().display())
    }

    pub(crate) fn connect(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.busy_timeout(wait::DEADLINE).unwrap();
        connection
    }

    pub(crate) fn lock_of(&self, id: &str) -> Option<String> {
        let sql = "SELECT token FROM lariat_job WHERE row & 0xffffffffff = ?1 AND lock_until > ?2";
        self.connect().query_row(sql, params![number(id), boot_ms()], |row| row.get(0)).optional().unwrap()
    }

    pub(crate) fn give_lock(&self, id: &str, token: &str) {
        let until = boot_ms() + 60_000;
        let sql = "UPDATE lariat_job SET token = ?2, lock_until = ?3 WHERE row & 0xffffffffff = ?1";
        assert_eq!(self.connect().execute(sql, params![number(id), token, until]).unwrap(), 1);
    }

    pub(crate) fn drop_lock(&self, id: &str) {
        let sql = "UPDATE lariat_job SET token = NULL, lock_until = NULL WHERE row & 0xffffffffff = ?1";
        assert_eq!(self.connect().execute(sql, params![number(id)]).unwrap(), 1);
    }

    pub(crate) fn suspect(&self, id: &str) {
        let sql = "UPDATE lariat_job SET suspect = 1 WHERE row & 0xffffffffff = ?1";
        assert_eq!(self.connect().execute(sql, params![number(id)]).unwrap(), 1);
    }

    /// One job's row of a table; the value is `?2`.
    pub(crate) fn set(&self, update: &str, id: &str, value: &str) {
        let sql = format!("{update} WHERE row & 0xffffffffff = ?1");
        assert_eq!(self.connect().execute(&sql, params![number(id), value]).unwrap(), 1);
    }

    /// Calls that have been answered, as the lanes count them.
    pub(crate) fn calls(&self) -> u64 {
        self.number("SELECT ifnull(sum(number), 0) FROM lariat_lane")
    }

    /// Whether a worker has asked for jobs.
    pub(crate) fn has_been_asked(&self) -> bool {
        self.number("SELECT count(*) FROM lariat_lane WHERE address IS NOT NULL") > 0
    }

    pub(crate) fn has_been_searched(&self) -> bool {
        self.number("SELECT count(*) FROM lariat_queue WHERE searched_until > 0") > 0
    }

    /// The one number that this asks for; 0 in a file that has no tables yet.
    fn number(&self, sql: &str) -> u64 {
        if !self.path().exists() {
            return 0;
        }
        let file = self.connect();
        let ask = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs();
        if ask("SELECT count(*) FROM sqlite_schema") == 0 { 0 } else { ask(sql) }
    }

    /// Bytes that are no UTF-8 where text should be.
    pub(crate) fn garble(&self, id: &str) {
        let sql = "UPDATE lariat_payload SET name = CAST(x'ff' AS TEXT) WHERE row & 0xffffffffff = ?1";
        assert_eq!(self.connect().execute(sql, params![number(id)]).unwrap(), 1);
    }

    pub(crate) fn lose_record(&self, id: &str) {
        let sql = "DELETE FROM lariat_payload WHERE row & 0xffffffffff = ?1";
        assert_eq!(self.connect().execute(sql, params![number(id)]).unwrap(), 1);
    }

    pub(crate) fn erase(&self, id: &str) {
        let sql = format!(
            "BEGIN IMMEDIATE;
             DELETE FROM lariat_payload WHERE row & 0xffffffffff = {id};
             DELETE FROM lariat_job WHERE row & 0xffffffffff = {id} AND state = 0;
             UPDATE lariat_queue SET waiting = waiting - changes();
             COMMIT;"
        );
        self.connect().execute_batch(&sql).unwrap();
    }

    pub(crate) fn failed_reason(&self, id: &str) -> String {
        let sql = "SELECT failed_reason FROM lariat_job WHERE row & 0xffffffffff = ?1";
        self.connect().query_row(sql, params![number(id)], |row| row.get(0)).unwrap()
    }

    pub(crate) fn is_untouched(&self) -> bool {
        let sql = "SELECT (SELECT count(*) FROM lariat_queue) + (SELECT count(*) FROM lariat_job)
                   + (SELECT count(*) FROM lariat_lane) + (SELECT count(*) FROM lariat_event)";
        self.number(sql) == 0
    }

    pub(crate) fn has_no_trace_of(&self, id: &str) -> bool {
        let sql = "SELECT (SELECT count(*) FROM lariat_job WHERE row & 0xffffffffff = ?1)
                   + (SELECT count(*) FROM lariat_payload WHERE row & 0xffffffffff = ?1)
                   + (SELECT count(*) FROM lariat_log WHERE job & 0xffffffffff = ?1)";
        self.connect().query_row(sql, params![number(id)], |row| row.get::<_, i64>(0)).unwrap() == 0
    }

    pub(crate) fn is_suspect(&self, id: &str) -> bool {
        let sql = "SELECT suspect FROM lariat_job WHERE row & 0xffffffffff = ?1";
        self.connect().query_row(sql, params![number(id)], |row| row.get(0)).unwrap()
    }

    pub(crate) fn abandon_next(&self) {
        let sql = "BEGIN IMMEDIATE;
            UPDATE lariat_job SET state = 1 WHERE row = (SELECT row FROM lariat_job WHERE state = 0 ORDER BY place LIMIT 1);
            UPDATE lariat_queue SET waiting = waiting - 1, active = active + 1;
            COMMIT;";
        self.connect().execute_batch(sql).unwrap();
    }

    /// Another process that keeps the file to itself.
    pub(crate) fn freeze(&self) {
        let connection = self.connect();
        connection.busy_timeout(Duration::from_secs(60)).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        *self.frozen.lock().unwrap() = Some(connection);
    }

    pub(crate) fn thaw(&self) {
        self.frozen.lock().unwrap().take().unwrap().execute_batch("ROLLBACK").unwrap();
    }
}

fn number(id: &str) -> i64 {
    id.parse().unwrap()
}
