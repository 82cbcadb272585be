//! What only somebody who knows the layout can see of a store or do to it, on both: no test names a key or a table where
//! it is run on both.

use interop::wait;
use redis::FromRedisValue;

use crate::fixture::{Fixture, Place};

impl Fixture {
    /// One command on a connection of the test's own; the words are split at spaces.
    pub(crate) fn redis<T: FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut cmd = redis::cmd(words.next().unwrap());
        cmd.arg(words.collect::<Vec<_>>());
        cmd.query(&mut self.server.connection()).unwrap()
    }

    /// Calls that the store has answered: adds, and exchanges that began a lane, handed in or took. On a server all scripts
    /// count, so a test sees to it that there are no others.
    pub(crate) fn calls(&self) -> u64 {
        match &self.server {
            Place::Redis(_) => self.scripts_run(),
            Place::Sqlite(file) => file.calls(),
        }
    }

    fn scripts_run(&self) -> u64 {
        let stats: String = self.redis("INFO commandstats");
        let line = |name: &str| {
            let rest = stats.split_once(&format!("cmdstat_{name}:calls="))?.1;
            rest.split_once(',')?.0.parse::<u64>().ok()
        };
        line("evalsha").unwrap_or(0) + line("eval").unwrap_or(0)
    }

    /// Whether somebody waits for a job: on a server a connection does. In a file nothing shows but that a worker has asked
    /// for the first time since there were this many [`calls`](Self::calls).
    pub(crate) fn is_waited_for(&self, since: u64) -> bool {
        match &self.server {
            Place::Redis(_) => self.redis::<String>("CLIENT LIST").contains("cmd=bzpopmin"),
            Place::Sqlite(file) => file.has_been_asked() && file.calls() > since,
        }
    }

    /// Waits until somebody [waits](Self::is_waited_for).
    pub(crate) async fn until_waited_for(&self, since: u64) {
        wait::until_async("somebody waits for a job", || async { self.is_waited_for(since) }).await;
    }

    /// Whether a search for stalled jobs has begun, so that the next is an interval away.
    pub(crate) fn has_been_searched(&self) -> bool {
        match &self.server {
            Place::Redis(_) => self.redis("EXISTS bull:mail:stalled-check"),
            Place::Sqlite(file) => file.has_been_searched(),
        }
    }

    /// The token that holds a job's lock.
    pub(crate) fn lock_of(&self, id: &str) -> Option<String> {
        match &self.server {
            Place::Redis(_) => self.redis(&format!("GET bull:mail:{id}:lock")),
            Place::Sqlite(file) => file.lock_of(id),
        }
    }

    /// Gives a job's lock to somebody, for a minute.
    pub(crate) fn give_lock(&self, id: &str, token: &str) {
        match &self.server {
            Place::Redis(_) => self.redis::<()>(&format!("SET bull:mail:{id}:lock {token} PX 60000")),
            Place::Sqlite(file) => file.give_lock(id, token),
        }
    }

    /// Lets a job's lock be gone.
    pub(crate) fn drop_lock(&self, id: &str) {
        match &self.server {
            Place::Redis(_) => self.redis::<()>(&format!("DEL bull:mail:{id}:lock")),
            Place::Sqlite(file) => file.drop_lock(id),
        }
    }

    /// Lets the last search for stalled jobs have seen a job active.
    pub(crate) fn suspect(&self, id: &str) {
        match &self.server {
            Place::Redis(_) => self.redis::<()>(&format!("SADD bull:mail:stalled {id}")),
            Place::Sqlite(file) => file.suspect(id),
        }
    }

    /// Whether nothing has been written.
    pub(crate) fn is_untouched(&self) -> bool {
        match &self.server {
            Place::Redis(_) => self.redis::<Vec<String>>("KEYS *").is_empty(),
            Place::Sqlite(file) => file.is_untouched(),
        }
    }

    /// Whether nothing is left of a job but its events.
    pub(crate) fn has_no_trace_of(&self, id: &str) -> bool {
        match &self.server {
            Place::Redis(_) => self.redis::<Vec<String>>(&format!("KEYS bull:mail:{id}*")).is_empty(),
            Place::Sqlite(file) => file.has_no_trace_of(id),
        }
    }

    /// Lets a job be one that is to fail when it is taken next.
    pub(crate) fn doom(&self, id: &str, reason: &str) {
        match &self.server {
            Place::Redis(_) => self.redis::<()>(&format!("HSET bull:mail:{id} defa {reason}")),
            Place::Sqlite(file) => file.set("UPDATE lariat_job SET deferred_failure = ?2", id, reason),
        }
    }

    /// Lets a job be one that a scheduler has made.
    pub(crate) fn schedule(&self, id: &str, scheduler: &str) {
        match &self.server {
            Place::Redis(_) => self.redis::<()>(&format!("HSET bull:mail:{id} rjk {scheduler}")),
            Place::Sqlite(file) => file.set("UPDATE lariat_payload SET scheduler = ?2", id, scheduler),
        }
    }

    /// Makes a job's payload something that is no JSON.
    pub(crate) fn break_data(&self, id: &str) {
        match &self.server {
            Place::Redis(_) => self.redis::<()>(&format!("HSET bull:mail:{id} data {{oops")),
            Place::Sqlite(file) => file.set("UPDATE lariat_payload SET data = ?2", id, "{oops"),
        }
    }

    /// Makes a job's options something that is no JSON.
    pub(crate) fn break_options(&self, id: &str) {
        match &self.server {
            Place::Redis(_) => self.redis::<()>(&format!("HSET bull:mail:{id} opts {{]")),
            Place::Sqlite(file) => file.set("UPDATE lariat_payload SET options = ?2", id, "{]"),
        }
    }

    /// Makes of a job's record something that is no record at all: a key of another type, a text that is none.
    pub(crate) fn garble(&self, id: &str) {
        match &self.server {
            Place::Redis(_) => {
                self.redis::<()>(&format!("DEL bull:mail:{id}"));
                self.redis::<()>(&format!("SET bull:mail:{id} text"));
            }
            Place::Sqlite(file) => file.garble(id),
        }
    }

    /// Takes a job's record away, and leaves its id where it is listed.
    pub(crate) fn lose_record(&self, id: &str) {
        match &self.server {
            Place::Redis(_) => self.redis::<()>(&format!("DEL bull:mail:{id}")),
            Place::Sqlite(file) => file.lose_record(id),
        }
    }

    /// Takes a waiting job out of the store without a word: no event says so.
    pub(crate) fn erase(&self, id: &str) {
        match &self.server {
            Place::Redis(_) => {
                self.redis::<()>(&format!("DEL bull:mail:{id}"));
                self.redis::<()>(&format!("LREM bull:mail:wait 1 {id}"));
            }
            Place::Sqlite(file) => file.erase(id),
        }
    }

    /// Why a job failed, also where its record cannot be read.
    pub(crate) fn failed_reason(&self, id: &str) -> String {
        match &self.server {
            Place::Redis(_) => self.redis(&format!("HGET bull:mail:{id} failedReason")),
            Place::Sqlite(file) => file.failed_reason(id),
        }
    }

    pub(crate) fn is_suspect(&self, id: &str) -> bool {
        match &self.server {
            Place::Redis(_) => self.redis(&format!("SISMEMBER bull:mail:stalled {id}")),
            Place::Sqlite(file) => file.is_suspect(id),
        }
    }

    /// Makes the next waiting job active as if a worker had taken it and died.
    pub(crate) fn abandon_next(&self) {
        match &self.server {
            Place::Redis(_) => {
                self.redis::<()>("RPOPLPUSH bull:mail:wait bull:mail:active");
                self.redis::<()>("DEL bull:mail:marker");
            }
            Place::Sqlite(file) => file.abandon_next(),
        }
    }

    /// Lets the store answer nobody, until it is thawed.
    pub(crate) fn freeze(&self) {
        match &self.server {
            Place::Redis(server) => server.freeze(),
            Place::Sqlite(file) => file.freeze(),
        }
    }

    pub(crate) fn thaw(&self) {
        match &self.server {
            Place::Redis(server) => server.thaw(),
            Place::Sqlite(file) => file.thaw(),
        }
    }

    /// Lets the store be away, until it comes back: a server is killed; a file is never further away than that somebody
    /// else keeps it to themselves.
    pub(crate) fn go_away(&mut self) {
        match &mut self.server {
            Place::Redis(server) => server.kill(),
            Place::Sqlite(file) => file.freeze(),
        }
    }

    pub(crate) fn come_back(&mut self) {
        match &mut self.server {
            Place::Redis(server) => server.restart(),
            Place::Sqlite(file) => file.thaw(),
        }
    }

    /// Lets the store have what it has now when it comes back. A file has it anyway.
    pub(crate) fn save(&self) {
        if let Place::Redis(_) = &self.server {
            self.redis::<()>("SAVE");
        }
    }

    /// A URL of the store with this password in it, where it can have one.
    pub(crate) fn url_with_password(&self, password: &str) -> String {
        match &self.server {
            Place::Redis(server) => {
                self.redis::<()>(&format!("ACL SETUSER tester on >{password} ~* &* +@all"));
                server.url().replace("redis://", &format!("redis://tester:{password}@"))
            }
            Place::Sqlite(file) => file.url(),
        }
    }
}
