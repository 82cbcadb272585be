//! A whole database as comparable data.
//!
//! Two databases are compared after the same steps by two programs, so what may honestly differ is taken out first
//! ([`Options`]): the text of lock tokens, ids of stream entries, which library wrote the meta hash, spacing and key
//! order of JSON, and the keys under `lariat:`, which are Lariat's own. TTLs are compared loosely, since time passes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::redis::connect;

/// TTLs this close are the same: a fifth of the longer one, but at least this many milliseconds.
const TTL_SLACK_MS: i64 = 5_000;

/// Fields of hashes that hold JSON, wherever they are.
const JSON_FIELDS: [&str; 9] =
    ["opts", "parent", "returnvalue", "stacktrace", "progress", "data", "pd", "prevOpts", "templateOpts"];

/// What to leave out or smooth over. The default suits comparing Lariat with `BullMQ`.
#[derive(Debug, Clone, Default)]
pub struct Options {
    only_under: String,
    exact_tokens: bool,
    events_in_any_order: bool,
    without_keys: Vec<String>,
    without_events: bool,
    without_fields: Vec<String>,
}

impl Options {
    /// Only keys that begin with this, e.g. `bull:q:`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.only_under);
        self
    }

    /// Compares lock tokens as they are, instead of only that there is one.
    #[must_use]
    pub fn exact_tokens(mut self) -> Self {
        self.exact_tokens = true;
        self
    }

    /// For batches: each job's own events stay in order, the interleaving of jobs does not count.
    #[must_use]
    pub fn events_in_any_order(mut self) -> Self {
        self.events_in_any_order = true;
        self
    }

    /// Leaves the event streams out.
    #[must_use]
    pub fn without_events(mut self) -> Self {
        self.without_events = true;
        self
    }

    /// Leaves out the keys that end with this, e.g. `:marker`.
    #[must_use]
    pub fn without_key(mut self, suffix: &str) -> Self {
        self.without_keys.push(suffix.to_owned());
        self
    }

    /// Leaves this field out of every hash, e.g. `pb`.
    #[must_use]
    pub fn without_field(mut self, field: &str) -> Self {
        self.without_fields.push(field.to_owned());
        self
    }

    fn skips(&self, key: &str) -> bool {
        key.starts_with("lariat:")
            || !key.starts_with(&self.only_under)
            || self.without_keys.iter().any(|suffix| key.ends_with(suffix))
            || (self.without_events && key.ends_with(":events"))
    }
}

/// One key.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Redis' name of the type: `string`, `list`, `hash`, `set`, `zset`, `stream`.
    pub kind: String,
    /// Strings as text; lists and streams in their order; hashes and sets sorted; zsets as `[member, score]` by score.
    pub value: Value,
    /// What is left of its life in ms, if it ends.
    pub ttl_ms: Option<i64>,
}

/// The keys of a database, normalised.
pub type Keyspace = BTreeMap<String, Entry>;

/// Reads all keys of the database that `url` names, with the default [`Options`].
pub fn dump(url: &str) -> Keyspace {
    dump_with(url, &Options::default())
}

/// Reads the keys of the database that `url` names.
pub fn dump_with(url: &str, options: &Options) -> Keyspace {
    let mut connection = connect(url);
    let keys: BTreeSet<String> = query(&mut connection, &["KEYS", "*"]);
    keys.into_iter()
        .filter(|key| !options.skips(key))
        .filter_map(|key| read(&mut connection, &key, options).map(|entry| (key, entry)))
        .collect()
}

fn query<T: ::redis::FromRedisValue>(connection: &mut ::redis::Connection, words: &[&str]) -> T {
    let mut command = ::redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    command.query(connection).unwrap_or_else(|e| panic!("{words:?}: {e}"))
}

/// `None` if the key has ended meanwhile, or holds nothing that counts.
fn read(connection: &mut ::redis::Connection, key: &str, options: &Options) -> Option<Entry> {
    let kind: String = query(connection, &["TYPE", key]);
    let value = match kind.as_str() {
        "string" => string(key, &query::<Option<String>>(connection, &["GET", key])?, options),
        "list" => json!(query::<Vec<String>>(connection, &["LRANGE", key, "0", "-1"])),
        "set" => json!(query::<BTreeSet<String>>(connection, &["SMEMBERS", key])),
        "zset" => zset(query(connection, &["ZRANGE", key, "0", "-1", "WITHSCORES"])),
        "hash" => hash(key, query(connection, &["HGETALL", key]), options)?,
        "stream" => stream(query(connection, &["XRANGE", key, "-", "+"]), options),
        "none" => return None,
        other => panic!("{key} is a {other}, which this kit does not know"),
    };
    let ttl: i64 = query(connection, &["PTTL", key]);
    Some(Entry { kind, value, ttl_ms: (ttl >= 0).then_some(ttl) })
}

fn string(key: &str, text: &str, options: &Options) -> Value {
    if key.ends_with(":lock") && !options.exact_tokens { json!("<token>") } else { json!(text) }
}

fn zset(rows: Vec<(String, f64)>) -> Value {
    rows.into_iter().map(|(member, score)| json!([member, number(score)])).collect()
}

fn hash(key: &str, fields: BTreeMap<String, String>, options: &Options) -> Option<Value> {
    let meta = key.ends_with(":meta");
    let children = key.ends_with(":processed");
    let normal: Map<String, Value> = fields
        .into_iter()
        .filter(|(field, _)| !(meta && matches!(field.as_str(), "version" | "library")))
        .filter(|(field, _)| !options.without_fields.contains(field))
        .map(|(field, text)| {
            let json = children || JSON_FIELDS.contains(&field.as_str());
            let value = if json { parse(&text) } else { json!(text) };
            (field, value)
        })
        .collect();
    (!normal.is_empty()).then_some(Value::Object(normal))
}

/// Each entry as an object; ids are left out.
fn stream(entries: Vec<(String, Vec<(String, String)>)>, options: &Options) -> Value {
    let mut rows: Vec<Map<String, Value>> = entries
        .into_iter()
        .map(|(_, fields)| {
            let json = |field: &str| matches!(field, "returnvalue" | "data");
            fields.into_iter().map(|(f, text)| if json(&f) { (f, parse(&text)) } else { (f, json!(text)) }).collect()
        })
        .collect();
    if options.events_in_any_order {
        // A stable sort by job keeps the order of each job's own events.
        rows.sort_by_key(|row| row.get("jobId").map(Value::to_string));
    }
    rows.into_iter().map(Value::Object).collect()
}

/// JSON text as a value that compares well; what is no JSON stays text, marked, so that it never equals a JSON string.
fn parse(text: &str) -> Value {
    serde_json::from_str(text).map_or_else(|_| json!({"<not JSON>": text}), smooth)
}

/// Redis' Lua encoder drops nulls of objects, writes an empty list as `{}`, and does not tell 1.0 from 1.
fn smooth(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, smooth(v))).collect())
        }
        Value::Array(items) if items.is_empty() => json!({}),
        Value::Array(items) => items.into_iter().map(smooth).collect(),
        Value::Number(n) => n.as_f64().filter(|_| n.is_f64()).map_or(Value::Number(n), number),
        other => other,
    }
}

/// A whole number without a point, if it is one.
#[allow(clippy::cast_possible_truncation, reason = "checked by converting back")]
#[allow(clippy::cast_precision_loss, reason = "the comparison is the check")]
#[allow(clippy::float_cmp, reason = "exactly equal is what is asked")]
fn number(n: f64) -> Value {
    let whole = n as i64;
    if whole as f64 == n { json!(whole) } else { json!(n) }
}

/// Panics with a readable list of differences if the two are not the same.
#[track_caller]
pub fn assert_same(left: &Keyspace, right: &Keyspace) {
    let found = differences(left, right);
    assert!(found.is_empty(), "the keyspaces differ (- left, + right):\n{found}");
}

/// The differences, a paragraph per key; empty if there are none.
pub fn differences(left: &Keyspace, right: &Keyspace) -> String {
    let mut out = String::new();
    for key in left.keys().chain(right.keys()).collect::<BTreeSet<_>>() {
        match (left.get(key), right.get(key)) {
            (Some(l), None) => writeln!(out, "{key} ({})\n  - {}\n  + (no such key)", l.kind, l.value),
            (None, Some(r)) => writeln!(out, "{key} ({})\n  - (no such key)\n  + {}", r.kind, r.value),
            (Some(l), Some(r)) => write!(out, "{}", entry_differences(key, l, r)),
            (None, None) => Ok(()),
        }
        .expect("writing to a string");
    }
    out
}

fn entry_differences(key: &str, left: &Entry, right: &Entry) -> String {
    let mut rows = Vec::new();
    if left.kind != right.kind {
        rows.push(format!("  type\n    - {}\n    + {}", left.kind, right.kind));
    }
    if !same_ttl(left.ttl_ms, right.ttl_ms) {
        rows.push(format!("  ttl\n    - {}\n    + {}", ttl(left.ttl_ms), ttl(right.ttl_ms)));
    }
    if left.value != right.value {
        rows.extend(value_differences(&left.value, &right.value));
    }
    if rows.is_empty() { String::new() } else { format!("{key} ({})\n{}\n", left.kind, rows.join("\n")) }
}

/// Hashes by field, lists and streams by position, everything else whole.
fn value_differences(left: &Value, right: &Value) -> Vec<String> {
    let row = |name: &str, l: Option<&Value>, r: Option<&Value>| {
        let show = |v: Option<&Value>| v.map_or("(none)".to_owned(), Value::to_string);
        (l != r).then(|| format!("  {name}\n    - {}\n    + {}", show(l), show(r)))
    };
    match (left, right) {
        (Value::Object(l), Value::Object(r)) => {
            let fields: BTreeSet<_> = l.keys().chain(r.keys()).collect();
            fields.into_iter().filter_map(|f| row(f, l.get(f), r.get(f))).collect()
        }
        (Value::Array(l), Value::Array(r)) => {
            (0..l.len().max(r.len())).filter_map(|i| row(&format!("[{i}]"), l.get(i), r.get(i))).collect()
        }
        _ => row("value", Some(left), Some(right)).into_iter().collect(),
    }
}

fn same_ttl(left: Option<i64>, right: Option<i64>) -> bool {
    match (left, right) {
        (Some(l), Some(r)) => (l - r).abs() <= TTL_SLACK_MS.max(l.max(r) / 5),
        (l, r) => l == r,
    }
}

fn ttl(ms: Option<i64>) -> String {
    ms.map_or("(none)".into(), |ms| format!("{ms} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::RedisServer;

    /// Two databases of one server, filled by these commands.
    fn two(left: &[&[&str]], right: &[&[&str]], options: &Options) -> (Keyspace, Keyspace) {
        let server = RedisServer::start();
        let fill = |db: u8, commands: &[&[&str]]| {
            let mut connection = connect(&server.url_db(db));
            for words in commands {
                query::<::redis::Value>(&mut connection, words);
            }
            dump_with(&server.url_db(db), options)
        };
        (fill(0, left), fill(1, right))
    }

    #[track_caller]
    fn same(left: &[&[&str]], right: &[&[&str]]) {
        let (l, r) = two(left, right, &Options::default());
        assert_same(&l, &r);
    }

    #[track_caller]
    fn differs(left: &[&[&str]], right: &[&[&str]], in_text: &str) {
        let (l, r) = two(left, right, &Options::default());
        let found = differences(&l, &r);
        assert!(found.contains(in_text), "expected {in_text:?} in:\n{found}");
    }

    #[test]
    fn order_counts_in_lists_only() {
        same(&[&["SADD", "s", "a", "b"]], &[&["SADD", "s", "b", "a"]]);
        same(&[&["HSET", "h", "a", "1", "b", "2"]], &[&["HSET", "h", "b", "2", "a", "1"]]);
        differs(&[&["RPUSH", "l", "a", "b"]], &[&["RPUSH", "l", "b", "a"]], "[0]\n    - \"a\"\n    + \"b\"");
    }

    #[test]
    fn values_scores_types_and_missing_keys_are_told() {
        differs(&[&["SET", "k", "1"]], &[&["SET", "k", "2"]], "k (string)\n  value\n    - \"1\"\n    + \"2\"");
        differs(&[&["ZADD", "z", "4096", "a"]], &[&["ZADD", "z", "4097", "a"]], "4097");
        differs(&[&["RPUSH", "k", "a"]], &[&["SADD", "k", "a"]], "type\n    - list\n    + set");
        differs(&[&["SET", "k", "1"]], &[], "+ (no such key)");
        differs(&[], &[&["SET", "k", "1"]], "- (no such key)");
    }

    #[test]
    fn large_scores_are_exact() {
        differs(
            &[&["ZADD", "z", "9007199254740991", "a"]],
            &[&["ZADD", "z", "9007199254740990", "a"]],
            "9007199254740991",
        );
    }

    #[test]
    fn json_fields_compare_as_json_and_others_as_text() {
        let left = r#"{"attempts":3,"backoff":{"type":"fixed","delay":1.0},"list":[],"none":null}"#;
        let right = r#"{ "list": {}, "backoff": {"delay":1, "type":"fixed"}, "attempts":3 }"#;
        same(&[&["HSET", "j", "opts", left]], &[&["HSET", "j", "opts", right]]);
        differs(&[&["HSET", "j", "name", "{}"]], &[&["HSET", "j", "name", "{ }"]], "name");
        differs(&[&["HSET", "j", "returnvalue", "1"]], &[&["HSET", "j", "returnvalue", "\"1\""]], "returnvalue");
        differs(&[&["HSET", "j", "returnvalue", "oops"]], &[&["HSET", "j", "returnvalue", "\"oops\""]], "<not JSON>");
    }

    #[test]
    fn tokens_differ_freely_unless_they_are_asked_for() {
        let (l, r): (&[&[&str]], &[&[&str]]) =
            (&[&["SET", "bull:q:1:lock", "a:1"]], &[&["SET", "bull:q:1:lock", "b:1"]]);
        same(l, r);
        let (l, r) = two(l, r, &Options::default().exact_tokens());
        assert!(!differences(&l, &r).is_empty());
    }

    #[test]
    fn lifetimes_are_compared_loosely() {
        same(&[&["SET", "k", "1", "PX", "30000"]], &[&["SET", "k", "1", "PX", "29000"]]);
        differs(&[&["SET", "k", "1", "PX", "30000"]], &[&["SET", "k", "1"]], "ttl");
        differs(&[&["SET", "k", "1", "PX", "30000"]], &[&["SET", "k", "1", "PX", "60000"]], "ttl");
    }

    #[test]
    fn what_only_says_who_wrote_it_is_left_out() {
        same(&[&["HSET", "bull:q:meta", "version", "bullmq:6.7.0"]], &[&["SET", "lariat:bull:q:lane", "1"]]);
        differs(&[&["HSET", "bull:q:meta", "paused", "1"]], &[&["HSET", "bull:q:meta", "version", "x"]], "paused");
    }

    #[test]
    fn events_have_an_order_unless_jobs_may_interleave() {
        let add = |event, job| ["XADD", "bull:q:events", "*", "event", event, "jobId", job];
        let left = [add("added", "1"), add("waiting", "1"), add("added", "2")];
        let right = [add("added", "1"), add("added", "2"), add("waiting", "1")];
        let swapped = [add("waiting", "1"), add("added", "1"), add("added", "2")];
        let commands = |rows: &'static [[&'static str; 7]]| rows.iter().map(|row| &row[..]).collect::<Vec<_>>();
        let [left, right, swapped] = [left, right, swapped].map(|rows| commands(Box::leak(Box::new(rows))));
        let loose = Options::default().events_in_any_order();
        same(&left, &left);
        differs(&left, &right, "[1]");
        let (l, r) = two(&left, &right, &loose);
        assert_same(&l, &r);
        let (l, r) = two(&left, &swapped, &loose);
        assert!(!differences(&l, &r).is_empty());
    }

    #[test]
    fn options_leave_out_what_they_say() {
        let left: &[&[&str]] = &[&["ZADD", "bull:q:marker", "0", "0"], &["HSET", "bull:q:1", "pb", "w", "name", "n"]];
        let right: &[&[&str]] = &[&["HSET", "bull:q:1", "name", "n"], &["SET", "other", "1"]];
        let options = Options::default().under("bull:q:").without_key(":marker").without_field("pb");
        let (l, r) = two(left, right, &options);
        assert_same(&l, &r);
        assert_eq!(l.len(), 1, "the job's hash is still compared");
    }

    #[test]
    #[should_panic(expected = "the keyspaces differ")]
    fn assert_same_panics() {
        let (l, r) = two(&[&["SET", "k", "1"]], &[], &Options::default());
        assert_same(&l, &r);
    }
}
