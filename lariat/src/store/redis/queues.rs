//! Which queues there are.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::Value;

use super::connect::Link;
use super::reply::{self, bad_reply};
use crate::error::Error;
use crate::id::{Prefix, QueueName};

/// Keys that the server looks at in one step.
const LOOKED_AT: usize = 1000;

/// What follows a queue's name in keys that show that there is such a queue. `id` comes with the first job; a queue that
/// was only paused, limited or opened has `meta`; what was imported may lack both.
const SIGNS: [&str; 5] = ["id", "meta", "marker", "wait", "waiting-children"];

/// There is no list of queues, so this goes through all keys, in steps; `deadline` is that of each step. A pattern that
/// fits all the signs, and hardly any key of a job, lets the server send little more than them.
pub(super) async fn queues(link: &Link, prefix: &Prefix, deadline: Duration) -> Result<Vec<QueueName>, Error> {
    let before = format!("{prefix}:");
    let pattern = format!("{}*:[imw]*", literally(&before));
    let mut names = BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let mut command = redis::cmd("SCAN");
        command.arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(LOOKED_AT);
        let found = link.call(&command, deadline).await?;
        let [next, keys] = reply::parts(&found)? else { return Err(bad_reply("a step of another shape")) };
        names.extend(reply::parts(keys)?.iter().filter_map(|key| queue_of(key, &before)));
        cursor = reply::text(next)?;
        if cursor == "0" {
            return Ok(names.into_iter().collect());
        }
    }
}

fn queue_of(key: &Value, before: &str) -> Option<QueueName> {
    let key = std::str::from_utf8(reply::bytes(key).ok()?).ok()?;
    let (name, sign) = key.strip_prefix(before)?.split_once(':')?;
    SIGNS.contains(&sign).then(|| QueueName::new(name).ok())?
}

/// A pattern that fits this text only.
fn literally(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}
