//! What only somebody who knows the layout can see of a store or do to it, on both: no test names a key or a table where
//! it is run on both. All of it is about queue `q`, unless said otherwise.

use interop::wait;
use lariat::rusqlite::{Connection, OptionalExtension, Params, params};

use crate::kit::{At, Place};

/// The row of the job with the id `?1`.
const ROW: &str = "(SELECT row FROM lariat_payload WHERE ifnull(custom, CAST(row & 0xffffffffff AS TEXT)) = ?1)";
/// States of a job: as BullMQ's keys and our counters are called, and as a file numbers them.
const STATES: [(&str, &str, i64); 5] = [
    ("wait", "waiting", 0),
    ("active", "active", 1),
    ("delayed", "delayed", 2),
    ("prioritized", "prioritized", 3),
    ("failed", "failed", 5),
];

impl Place {
    /// A command at the server.
    #[track_caller]
    pub(crate) fn redis<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let (name, args) = command.split_first().unwrap();
        redis::cmd(name).arg(args).query(&mut self.server().connection()).unwrap()
    }

    pub(crate) fn sql(&self) -> Connection {
        let file = Connection::open(self.file()).unwrap();
        file.busy_timeout(wait::DEADLINE).unwrap();
        file
    }

    /// A statement that changes one row.
    #[track_caller]
    fn change(&self, sql: &str, params: impl Params) {
        assert_eq!(self.sql().execute(sql, params).unwrap(), 1, "{sql}");
    }

    /// A field of a job's record, as it is stored.
    #[track_caller]
    fn stored(&self, id: &str, field: &str, column: &str) -> String {
        match &self.at {
            At::Redis(_) => self.redis(&["HGET", &format!("bull:q:{id}"), field]),
            At::Sqlite(_) => {
                let sql = format!("SELECT {column} FROM lariat_payload JOIN lariat_job USING (row) WHERE row = {ROW}");
                self.sql().query_row(&sql, [id], |row| row.get(0)).unwrap()
            }
        }
    }

    pub(crate) fn data(&self, id: &str) -> String {
        self.stored(id, "data", "data")
    }

    pub(crate) fn options(&self, id: &str) -> String {
        self.stored(id, "opts", "options")
    }

    pub(crate) fn result(&self, id: &str) -> String {
        self.stored(id, "returnvalue", "return_value")
    }

    /// Whether a queue `q` of this prefix has a job with this number.
    pub(crate) fn has_job(&self, prefix: &str, number: u8) -> bool {
        match &self.at {
            At::Redis(_) => self.redis(&["EXISTS", &format!("{prefix}:q:{number}")]),
            At::Sqlite(_) => {
                let sql = "SELECT count(*) FROM lariat_job j JOIN lariat_queue q ON q.row = j.queue
                           WHERE prefix = ?1 AND name = 'q' AND j.row & 0xffffffffff = ?2";
                self.sql().query_row(sql, params![prefix, number], |row| row.get::<_, i64>(0)).unwrap() == 1
            }
        }
    }

    /// The jobs that wait, in their order.
    pub(crate) fn waiting(&self) -> Vec<String> {
        match &self.at {
            At::Redis(_) => {
                let mut ids: Vec<String> = self.redis(&["LRANGE", "bull:q:wait", "0", "-1"]);
                ids.reverse();
                ids
            }
            At::Sqlite(_) if !self.file().exists() => Vec::new(),
            At::Sqlite(_) => {
                let file = self.sql();
                let sql = "SELECT ifnull(custom, CAST(row & 0xffffffffff AS TEXT))
                           FROM lariat_job JOIN lariat_payload USING (row) WHERE state = 0 ORDER BY place";
                let mut statement = file.prepare(sql).unwrap();
                let ids = statement.query_map([], |row| row.get(0)).unwrap();
                ids.map(Result::unwrap).collect()
            }
        }
    }

    /// The number that this asks the file for; 0 where there are no tables yet.
    fn number(&self, sql: &str) -> u64 {
        if !self.file().exists() {
            return 0;
        }
        let file = self.sql();
        let ask = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs();
        if ask("SELECT count(*) FROM sqlite_schema") == 0 { 0 } else { ask(sql) }
    }

    /// Whether nothing has been written.
    pub(crate) fn is_untouched(&self) -> bool {
        match &self.at {
            At::Redis(_) => self.redis::<u64>(&["DBSIZE"]) == 0,
            At::Sqlite(_) => {
                let tables = ["queue", "job", "payload", "log", "lane", "event"]
                    .map(|table| format!("SELECT 1 FROM lariat_{table}"));
                self.number(&format!("SELECT count(*) FROM ({})", tables.join(" UNION ALL "))) == 0
            }
        }
    }

    /// Whether nothing is left of any job but its events.
    pub(crate) fn has_no_jobs(&self) -> bool {
        match &self.at {
            At::Redis(_) => self.redis::<Vec<String>>(&["KEYS", "bull:q:[0-9]*"]).is_empty(),
            At::Sqlite(_) => {
                let tables = ["job", "payload", "log"].map(|table| format!("SELECT 1 FROM lariat_{table}"));
                self.number(&format!("SELECT count(*) FROM ({})", tables.join(" UNION ALL "))) == 0
            }
        }
    }

    /// How many events there have been.
    pub(crate) fn events(&self) -> u64 {
        match &self.at {
            At::Redis(_) => self.redis(&["XLEN", "bull:q:events"]),
            At::Sqlite(_) => self.number("SELECT last_event FROM lariat_queue"),
        }
    }

    /// The token that holds a job's lock.
    pub(crate) fn lock_of(&self, id: &str) -> Option<String> {
        match &self.at {
            At::Redis(_) => self.redis(&["GET", &format!("bull:q:{id}:lock")]),
            At::Sqlite(_) => {
                let sql = format!("SELECT token FROM lariat_job WHERE row = {ROW}");
                self.sql().query_row(&sql, [id], |row| row.get(0)).optional().unwrap().flatten()
            }
        }
    }

    /// Gives a job's lock to somebody, for good.
    pub(crate) fn give_lock(&self, id: &str, token: &str) {
        match &self.at {
            At::Redis(_) => self.redis::<()>(&["SET", &format!("bull:q:{id}:lock"), token]),
            At::Sqlite(_) => {
                let sql = format!("UPDATE lariat_job SET token = ?2, lock_until = 1 << 60 WHERE row = {ROW}");
                self.change(&sql, [id, token]);
            }
        }
    }

    /// Takes a job's record away, and leaves its id where it is listed.
    pub(crate) fn lose_record(&self, id: &str) {
        match &self.at {
            At::Redis(_) => assert!(self.redis::<bool>(&["DEL", &format!("bull:q:{id}")])),
            At::Sqlite(_) => self.change(&format!("DELETE FROM lariat_payload WHERE row = {ROW}"), [id]),
        }
    }

    /// Makes of a job's record something that is no record at all.
    pub(crate) fn garble(&self, id: &str) {
        match &self.at {
            At::Redis(_) => {
                self.redis::<()>(&["DEL", &format!("bull:q:{id}")]);
                self.redis::<()>(&["SET", &format!("bull:q:{id}"), "no hash"]);
            }
            At::Sqlite(_) => {
                self.change(&format!("UPDATE lariat_payload SET name = CAST(x'ff' AS TEXT) WHERE row = {ROW}"), [id]);
            }
        }
    }

    /// Gives a job another name.
    pub(crate) fn rename(&self, id: &str, name: &str) {
        match &self.at {
            At::Redis(_) => self.redis::<()>(&["HSET", &format!("bull:q:{id}"), "name", name]),
            At::Sqlite(_) => self.change(&format!("UPDATE lariat_payload SET name = ?2 WHERE row = {ROW}"), [id, name]),
        }
    }

    /// Lets a job be one that a scheduler has made.
    pub(crate) fn schedule(&self, id: &str, scheduler: &str) {
        match &self.at {
            At::Redis(_) => self.redis::<()>(&["HSET", &format!("bull:q:{id}"), "rjk", scheduler]),
            At::Sqlite(_) => {
                self.change(&format!("UPDATE lariat_payload SET scheduler = ?2 WHERE row = {ROW}"), [id, scheduler]);
            }
        }
    }

    /// Adds rows to a job's log, many at once.
    pub(crate) fn log_rows(&self, id: &str, rows: &[String]) {
        match &self.at {
            At::Redis(_) => {
                let key = format!("bull:q:{id}:logs");
                let push: Vec<&str> = ["RPUSH", &key].into_iter().chain(rows.iter().map(String::as_str)).collect();
                self.redis::<()>(&push);
            }
            At::Sqlite(_) => {
                let mut file = self.sql();
                let tx = file.transaction().unwrap();
                for (n, row) in (1_i64..).zip(rows) {
                    let sql = format!("INSERT INTO lariat_log (job, n, line) VALUES ({ROW}, ?2, ?3)");
                    tx.execute(&sql, params![id, n, row]).unwrap();
                }
                tx.commit().unwrap();
            }
        }
    }

    /// Makes queues that have nothing but their names.
    pub(crate) fn found_queues(&self, names: &[String]) {
        match &self.at {
            At::Redis(_) => {
                for name in names {
                    self.redis::<()>(&["HSET", &format!("bull:{name}:meta"), "version", "bullmq:5"]);
                }
            }
            At::Sqlite(_) => {
                self.lay_tables();
                for name in names {
                    self.change("INSERT INTO lariat_queue (prefix, name) VALUES ('bull', ?1)", [name]);
                }
            }
        }
    }

    /// A file has its tables once it was looked into.
    fn lay_tables(&self) {
        self.run(&["queue", "stats", "q"]).done();
    }

    /// Makes the waiting job `child` one below the waiting job `parent`, which waits for it, as BullMQ's flows leave them.
    pub(crate) fn adopt(&self, parent: &str, child: &str) {
        let (key, link) = (format!("bull:q:{parent}"), format!("{{\"id\":\"{parent}\",\"queueKey\":\"bull:q\"}}"));
        match &self.at {
            At::Redis(_) => {
                let child = format!("bull:q:{child}");
                self.redis::<()>(&["LREM", "bull:q:wait", "0", parent]);
                self.redis::<()>(&["ZADD", "bull:q:waiting-children", "1700000000000", parent]);
                self.redis::<()>(&["SADD", &format!("{key}:dependencies"), &child]);
                self.redis::<()>(&["HSET", &child, "parentKey", &key, "parent", &link]);
            }
            At::Sqlite(_) => {
                self.change(
                    &format!("UPDATE lariat_payload SET parent_key = ?2, parent = ?3 WHERE row = {ROW}"),
                    [child, &key, &link],
                );
                self.change(&format!("UPDATE lariat_job SET linked = 1 WHERE row = {ROW}"), [child]);
                self.change(
                    &format!("UPDATE lariat_job SET state = 6, pending = pending + 1 WHERE row = {ROW}"),
                    [parent],
                );
                self.change(
                    "UPDATE lariat_queue SET waiting = waiting - 1, waiting_children = waiting_children + 1",
                    [],
                );
                let sql = format!("INSERT INTO lariat_child (parent, child, state) VALUES ({ROW}, ?2, 0)");
                self.change(&sql, [parent, &format!("bull:q:{child}")]);
            }
        }
    }

    /// Puts a job there as another client might have left it: its number, fields and values by BullMQ's names, and its
    /// state by that of BullMQ's key, with the job's score where that has one.
    pub(crate) fn plant(&self, number: &str, (state, score): (&str, i64), fields: &[(&str, &str)]) {
        match &self.at {
            At::Redis(_) => {
                let (job, list) = (format!("bull:q:{number}"), format!("bull:q:{state}"));
                for (field, value) in fields {
                    self.redis::<()>(&["HSET", &job, field, value]);
                }
                match state {
                    "wait" | "active" => self.redis::<()>(&["LPUSH", &list, number]),
                    _ => self.redis::<()>(&["ZADD", &list, &score.to_string(), number]),
                }
            }
            At::Sqlite(_) => self.plant_in_file(number.parse().unwrap(), (state, score), fields),
        }
    }

    fn plant_in_file(&self, number: i64, (state, score): (&str, i64), fields: &[(&str, &str)]) {
        self.lay_tables();
        let file = self.sql();
        file.execute("INSERT OR IGNORE INTO lariat_queue (prefix, name) VALUES ('bull', 'q')", []).unwrap();
        let queue: i64 = file.query_row("SELECT row FROM lariat_queue WHERE name = 'q'", [], |row| row.get(0)).unwrap();
        let (_, counter, state) = STATES.into_iter().find(|(key, ..)| *key == state).unwrap();
        let row = (queue << 40) | number;
        // Scores of BullMQ's have more in them than the rank.
        let rank = match counter {
            "delayed" => score / 4096,
            "prioritized" => score >> 32,
            _ => score,
        };
        let sql =
            format!("UPDATE lariat_queue SET {counter} = {counter} + 1, last_number = max(last_number, ?1), back = ?1");
        file.execute(&sql, [number]).unwrap();
        file.execute(
            "INSERT INTO lariat_job (row, queue, state, rank, place) VALUES (?1, ?2, ?3, ?4, ?5)",
            [row, queue, state, rank, number],
        )
        .unwrap();
        let blank = "INSERT INTO lariat_payload (row, name, data, options, timestamp) VALUES (?1, '', '{}', '{}', 0)";
        file.execute(blank, [row]).unwrap();
        for (field, value) in fields {
            let (table, column) = column(field);
            let sql = format!("UPDATE {table} SET {column} = ?2 WHERE row = ?1");
            assert_eq!(file.execute(&sql, params![row, value]).unwrap(), 1);
        }
    }
}

/// Where a file keeps a field of BullMQ's record.
fn column(field: &str) -> (&'static str, &'static str) {
    match field {
        "name" => ("lariat_payload", "name"),
        "data" => ("lariat_payload", "data"),
        "opts" => ("lariat_payload", "options"),
        "timestamp" => ("lariat_payload", "timestamp"),
        "parent" => ("lariat_payload", "parent"),
        "parentKey" => ("lariat_payload", "parent_key"),
        "deid" => ("lariat_payload", "deduplication"),
        "delay" => ("lariat_job", "delay"),
        "priority" => ("lariat_job", "priority"),
        "atm" => ("lariat_job", "made"),
        "ats" => ("lariat_job", "starts"),
        "stc" => ("lariat_job", "stalls"),
        "processedOn" => ("lariat_job", "processed_on"),
        "finishedOn" => ("lariat_job", "finished_on"),
        "failedReason" => ("lariat_job", "failed_reason"),
        "stacktrace" => ("lariat_job", "stacktrace"),
        "progress" => ("lariat_job", "progress"),
        "pb" => ("lariat_job", "processed_by"),
        _ => panic!("no column for {field}"),
    }
}
