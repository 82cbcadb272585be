//! The agreement test in three lines: the same steps through `BullMQ`'s own scripts and through ours must leave the
//! same keyspace.
//!
//! ```no_run
//! # use interop::agreement::Pair;
//! # use serde_json::json;
//! # fn ours(url: &str, now: u64) {}
//! let pair = Pair::start();
//! pair.theirs(json!({"op": "add", "queue": "q", "name": "n", "data": {}, "now": 1_700_000_000_000_u64}));
//! ours(&pair.ours(), 1_700_000_000_000);
//! pair.assert_same();
//! ```

use serde_json::Value;

use crate::keyspace::{Options, assert_same, differences, dump_with};
use crate::node::{NodeBull, NodeError};
use crate::redis::{RedisServer, connect};

/// One server with two databases: `BullMQ` works on the first, we work on the second.
pub struct Pair {
    server: RedisServer,
    node: NodeBull,
    options: Options,
}

impl Pair {
    /// Compares with the default [`Options`].
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// Compares with these.
    pub fn with(options: Options) -> Self {
        let server = RedisServer::start();
        let node = NodeBull::start(&server.url_db(0));
        Self { server, node, options }
    }

    /// The server under both, to freeze it for example.
    pub fn server(&mut self) -> &mut RedisServer {
        &mut self.server
    }

    /// Node, for what [`theirs`](Self::theirs) does not do.
    pub fn node(&self) -> &NodeBull {
        &self.node
    }

    /// The address of `BullMQ`'s database.
    pub fn theirs_url(&self) -> String {
        self.server.url_db(0)
    }

    /// The address of our database.
    pub fn ours(&self) -> String {
        self.server.url_db(1)
    }

    /// Runs a step through `BullMQ` and returns its answer; an error is a panic.
    #[track_caller]
    pub fn theirs(&self, step: Value) -> Value {
        self.node.call(step)
    }

    /// Runs a step through `BullMQ` that may be refused.
    pub fn try_theirs(&self, step: Value) -> Result<Value, NodeError> {
        self.node.try_call(step)
    }

    /// The same plain commands on both databases, to lay a ground that neither side made.
    pub fn both(&self, commands: &[&[&str]]) {
        for url in [self.server.url_db(0), self.ours()] {
            let mut connection = connect(&url);
            for words in commands {
                let mut command = ::redis::Cmd::new();
                for word in *words {
                    command.arg(word);
                }
                command.exec(&mut connection).unwrap_or_else(|e| panic!("{words:?}: {e}"));
            }
        }
    }

    /// Panics with a readable diff (`-` theirs, `+` ours) unless both databases are the same.
    #[track_caller]
    pub fn assert_same(&self) {
        assert_same(&dump_with(&self.server.url_db(0), &self.options), &dump_with(&self.ours(), &self.options));
    }

    /// The differences, for transitions where some are meant.
    pub fn differences(&self) -> String {
        differences(&dump_with(&self.server.url_db(0), &self.options), &dump_with(&self.ours(), &self.options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: u64 = 1_700_000_000_000;

    /// `BullMQ` against itself: what is compared must not depend on the run.
    #[test]
    fn bullmq_agrees_with_itself() {
        let pair = Pair::start();
        let ours = NodeBull::start(&pair.ours());
        let steps = [
            json!({"op": "add", "queue": "q", "name": "n", "data": {"a": 1}, "opts": {"attempts": 2}, "now": NOW}),
            json!({"op": "add", "queue": "q", "name": "d", "data": {}, "opts": {"delay": 500}, "now": NOW}),
            json!({"op": "add", "queue": "q", "name": "p", "data": {}, "opts": {"priority": 3}, "now": NOW}),
            json!({"op": "fetch", "queue": "q", "token": "t:1", "now": NOW + 10}),
            json!({"op": "moveToFailed", "queue": "q", "id": "1", "token": "t:1", "error": {"message": "x"}, "now": NOW + 20}),
            json!({"op": "fetch", "queue": "q", "token": "t:2", "now": NOW + 600}),
            json!({"op": "pause", "queue": "q", "now": NOW + 700}),
        ];
        for step in steps {
            assert_eq!(pair.theirs(step.clone()), ours.call(step));
        }
        pair.assert_same();
    }

    #[test]
    fn one_millisecond_is_a_difference() {
        let pair = Pair::start();
        let ours = NodeBull::start(&pair.ours());
        let step = |now: u64| json!({"op": "add", "queue": "q", "name": "n", "data": {}, "now": now});
        pair.theirs(step(NOW));
        ours.call(step(NOW + 1));
        let found = pair.differences();
        assert!(found.contains("bull:q:1 (hash)\n  timestamp"), "{found}");
    }

    #[test]
    fn both_lays_the_same_ground() {
        let pair = Pair::start();
        pair.both(&[&["HSET", "bull:q:meta", "concurrency", "1"]]);
        pair.assert_same();
        let maxed = pair.theirs(json!({"op": "queue", "queue": "q", "method": "getGlobalConcurrency"}));
        assert_eq!(maxed, 1);
    }
}
