//! What only somebody who knows the layout can do to a store: let a lock lapse, give one away, lay a family (nothing adds
//! one yet). All that the cases need of it, and nothing else, is in [`Hands`].

use std::sync::{Arc, Mutex, PoisonError, Weak};

use interop::redis::RedisServer;
use rusqlite::{Connection, params};
use tempfile::TempDir;

/// Behind the back of one queue, named `q`.
pub(super) trait Hands {
    /// Lets a job's lock be gone, as if its time were over.
    fn lapse(&self, id: &str);

    /// Gives a job's lock to somebody.
    fn give_lock(&self, id: &str, token: &str);

    /// Makes a job a child of another, which has not ended; `flag` says what its failure means to it: `fpof`, `cpof`,
    /// `idof`, `rdof` or nothing.
    fn adopt(&self, parent: &str, child: &str, flag: &str);

    /// Lets a child have no parent, which waits for it all the same.
    fn disown(&self, child: &str);

    /// Lets a job be one that is to fail when it is taken next.
    fn doom(&self, id: &str, reason: &str);

    /// Gives a job a delay, in ms, wherever it is.
    fn put_off(&self, id: &str, delay: i64);

    /// Lets a job be one that a scheduler has made.
    fn schedule(&self, id: &str, scheduler: &str);

    /// Lets a job's record be gone, and its id be where it is.
    fn lose_record(&self, id: &str);

    /// Lets the last search for stalled jobs be long ago.
    fn forget_search(&self);

    /// Lets the present window of the rate limit be over.
    fn end_window(&self);
}

/// What a child keeps of its parent.
fn link(prefix: &str, parent: &str, flag: &str) -> String {
    let flag = if flag.is_empty() { String::new() } else { format!(r#","{flag}":true"#) };
    format!(r#"{{"id":"{parent}","queueKey":"{prefix}:q"{flag}}}"#)
}

/// One server for all tests of a process, a prefix for each.
pub(super) struct OnTheServer {
    server: Arc<RedisServer>,
    pub prefix: String,
}

impl OnTheServer {
    pub(super) fn shared(prefix: String) -> OnTheServer {
        static SERVER: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
        let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        let server = shared.upgrade().unwrap_or_else(|| Arc::new(RedisServer::start()));
        *shared = Arc::downgrade(&server);
        OnTheServer { server, prefix }
    }

    pub(super) fn url(&self) -> String {
        self.server.url()
    }

    /// One command, in which `@` stands for the queue's key.
    fn run(&self, words: &[&str]) {
        let at = format!("{}:q", self.prefix);
        let mut command = ::redis::Cmd::new();
        for word in words {
            command.arg(word.replace('@', &at));
        }
        command.exec(&mut self.server.connection()).unwrap();
    }
}

impl Hands for OnTheServer {
    fn lapse(&self, id: &str) {
        self.run(&["DEL", &format!("@:{id}:lock")]);
    }

    fn give_lock(&self, id: &str, token: &str) {
        self.run(&["SET", &format!("@:{id}:lock"), token, "PX", "600000"]);
    }

    fn adopt(&self, parent: &str, child: &str, flag: &str) {
        let link = link(&self.prefix, parent, flag);
        self.run(&["HSET", &format!("@:{child}"), "parentKey", &format!("@:{parent}"), "parent", &link]);
        self.run(&["SADD", &format!("@:{parent}:dependencies"), &format!("@:{child}")]);
    }

    fn disown(&self, child: &str) {
        self.run(&["HDEL", &format!("@:{child}"), "parentKey", "parent"]);
    }

    fn doom(&self, id: &str, reason: &str) {
        self.run(&["HSET", &format!("@:{id}"), "defa", reason]);
    }

    fn put_off(&self, id: &str, delay: i64) {
        self.run(&["HSET", &format!("@:{id}"), "delay", &delay.to_string()]);
    }

    fn schedule(&self, id: &str, scheduler: &str) {
        self.run(&["HSET", &format!("@:{id}"), "rjk", scheduler]);
        self.run(&["ZADD", "@:repeat", "1", scheduler]);
    }

    fn lose_record(&self, id: &str) {
        self.run(&["DEL", &format!("@:{id}")]);
    }

    fn forget_search(&self) {
        self.run(&["DEL", "@:stalled-check"]);
    }

    fn end_window(&self) {
        self.run(&["DEL", "@:limiter"]);
    }
}

/// A file of the test's own, gone with its folder.
pub(super) struct InTheFile {
    folder: TempDir,
}

impl InTheFile {
    pub(super) fn new() -> InTheFile {
        InTheFile { folder: TempDir::new().unwrap() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("jobs.db")
    }

    /// What is tested here does not depend on syncs.
    pub(super) fn url(&self) -> String {
        format!("sqlite:{}?durability=normal", self.path().display())
    }

    fn sql(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.busy_timeout(super::PATIENCE).unwrap();
        connection
    }

    /// Changes the row of one job.
    fn edit(&self, id: &str, set: &str, value: impl rusqlite::ToSql) {
        let sql = format!("UPDATE lariat_job SET {set} WHERE row = ?2");
        assert_eq!(self.sql().execute(&sql, params![value, self.row(id)]).unwrap(), 1);
    }

    fn row(&self, id: &str) -> i64 {
        let sql = "SELECT row FROM lariat_payload WHERE custom = ?1 OR (custom IS NULL AND CAST(row & 0xffffffffff AS TEXT) = ?1)";
        self.sql().query_row(sql, [id], |row| row.get(0)).unwrap()
    }
}

impl Hands for InTheFile {
    fn lapse(&self, id: &str) {
        self.edit(id, "lock_until = ?1", 0);
    }

    fn give_lock(&self, id: &str, token: &str) {
        self.edit(id, "token = ?1, lock_until = 1 << 60", token);
    }

    fn adopt(&self, parent: &str, child: &str, flag: &str) {
        let sql = "UPDATE lariat_payload SET parent_key = ?2, parent = ?3 WHERE row = ?1";
        let (key, link) = (format!("bull:q:{parent}"), link("bull", parent, flag));
        assert_eq!(self.sql().execute(sql, params![self.row(child), key, link]).unwrap(), 1);
        self.edit(child, "linked = ?1", 1);
        self.edit(parent, "pending = pending + ?1", 1);
        let sql = "INSERT INTO lariat_child (parent, child, state) VALUES (?1, ?2, 0)";
        self.sql().execute(sql, params![self.row(parent), format!("bull:q:{child}")]).unwrap();
    }

    fn disown(&self, child: &str) {
        self.edit(child, "linked = ?1", 0);
    }

    fn doom(&self, id: &str, reason: &str) {
        self.edit(id, "deferred_failure = ?1", reason);
    }

    fn put_off(&self, id: &str, delay: i64) {
        self.edit(id, "delay = ?1", delay);
    }

    fn schedule(&self, id: &str, scheduler: &str) {
        let sql = "UPDATE lariat_payload SET scheduler = ?2 WHERE row = ?1";
        assert_eq!(self.sql().execute(sql, params![self.row(id), scheduler]).unwrap(), 1);
    }

    fn lose_record(&self, id: &str) {
        assert_eq!(self.sql().execute("DELETE FROM lariat_payload WHERE row = ?1", [self.row(id)]).unwrap(), 1);
    }

    fn forget_search(&self) {
        self.sql().execute_batch("UPDATE lariat_queue SET searched_until = 0").unwrap();
    }

    fn end_window(&self) {
        self.sql().execute_batch("UPDATE lariat_queue SET started_until = 0").unwrap();
    }
}
