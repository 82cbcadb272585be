//! A folder of the test's own with a SQLite file, and a look at what that file holds.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use interop::wait;
use lariat::{Queue, Store};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::child::{Errand, Orders};

pub(crate) const QUEUE: &str = "mail";

pub(crate) struct Lab {
    pub folder: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        // Without symbolic links: a trace of system calls shows none.
        Lab { folder: TempDir::new_in(std::env::temp_dir().canonicalize().unwrap()).unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("jobs.db")
    }

    pub(crate) fn wal(&self) -> PathBuf {
        wal(&self.path())
    }

    /// Of the time before the file has a WAL.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path().with_extension("db-journal")
    }

    /// With `durability=full`, which is what is said when nothing is.
    pub(crate) fn url(&self) -> String {
        url(&self.path())
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.url()).unwrap()
    }

    pub(crate) fn queue(&self) -> Queue {
        Queue::new(&self.store(), QUEUE).unwrap()
    }

    /// Orders to do nothing yet, with a history in the folder.
    pub(crate) fn orders(&self) -> Orders {
        Orders {
            url: self.url(),
            queue: QUEUE.to_owned(),
            history: self.folder.path().join("history"),
            adders: 0,
            adds: 0,
            concurrency: 0,
            lock_duration: Duration::from_secs(1),
            job: Duration::from_millis(4),
            errand: Errand::Crowd,
            caller: "full".to_owned(),
        }
    }
}

/// How often something is done that is left to chance: as often as is sane for each change of the code, or with the
/// environment variable `LARIAT_CRASH_TIMES` so many times as often.
pub(crate) fn times(usual: usize) -> usize {
    let times = std::env::var("LARIAT_CRASH_TIMES").map_or(1, |times| times.parse().expect("a number"));
    usual * times
}

/// Says that this test, or the rest of it, is left out, and why. The runner may not show it: the file that `./test` names is
/// for what it says at its end.
pub(crate) fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
    let Some(list) = std::env::var_os("LARIAT_SKIPPED") else { return };
    let thread = std::thread::current();
    let line = format!("{}: {why}\n", thread.name().unwrap_or("a test"));
    let mut list = OpenOptions::new().append(true).create(true).open(list).unwrap();
    // One write, so that lines of several tests do not mix.
    list.write_all(line.as_bytes()).unwrap();
}

pub(crate) fn wal(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}

pub(crate) fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

pub(crate) fn connect(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(wait::DEADLINE).unwrap();
    connection
}

/// A query of one row, which says whether this is so of the job.
pub(crate) fn of_job(id: impl Display, holds: &str) -> String {
    format!("SELECT count(*) FROM lariat_job WHERE row & 0xffffffffff = {id} AND {holds}")
}

/// The numbers of the jobs in a file, in order.
pub(crate) fn numbers(file: &Connection) -> Vec<u64> {
    let mut statement = file.prepare("SELECT row & 0xffffffffff FROM lariat_job ORDER BY 1").unwrap();
    statement.query_map([], |row| row.get::<_, i64>(0)).unwrap().map(|row| row.unwrap().cast_unsigned()).collect()
}

/// The file is whole, for SQLite and for us: every job has its payload, and the counters say what is there.
pub(crate) fn assert_whole(file: &Connection) {
    let said: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
    let lone: i64 = file
        .query_row(
            "SELECT count(*) FROM lariat_job FULL JOIN lariat_payload USING (row) WHERE name IS NULL OR state IS NULL",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert_eq!(lone, 0, "jobs and payloads belong together");
    let states = ["waiting", "active", "delayed", "prioritized", "completed", "failed", "waiting_children"];
    for (code, state) in states.iter().enumerate() {
        let sql = format!(
            "SELECT name, {state}, (SELECT count(*) FROM lariat_job WHERE queue = q.row AND state = {code}) FROM lariat_queue q"
        );
        let mut statement = file.prepare(&sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let (queue, counted, there): (String, i64, i64) =
                (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
            assert_eq!(counted, there, "{state} of queue {queue}");
        }
    }
}
