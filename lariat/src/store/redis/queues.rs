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

#[cfg(test)]
mod tests {
    use interop::redis::RedisServer;

    use super::*;
    use crate::store::redis::connect::Purpose;
    use crate::store::url;

    const LONG: Duration = Duration::from_secs(30);

    async fn found(server: &RedisServer, prefix: &str) -> Vec<String> {
        let link = Link::new(url::redis_address(&server.url()).unwrap(), Purpose::Commands, None);
        let names = queues(&link, &Prefix::new(prefix).unwrap(), LONG).await.unwrap();
        names.iter().map(ToString::to_string).collect()
    }

    fn set(server: &RedisServer, keys: &[&str]) {
        let mut pipe = redis::pipe();
        for key in keys {
            pipe.cmd("SET").arg(key).arg("x");
        }
        pipe.exec(&mut server.connection()).unwrap();
    }

    #[tokio::test]
    async fn a_queue_is_known_by_any_of_its_signs_and_named_once() {
        let server = RedisServer::start();
        assert_eq!(found(&server, "bull").await, Vec::<String>::new());
        set(&server, &["bull:zoo:meta", "bull:zoo:id", "bull:a b:id", "bull:{mail}:meta", "bull:old:wait"]);
        set(&server, &["bull:é:meta", "bull:parents:waiting-children", "bull:idle:marker"]);
        // Jobs, what belongs to jobs, other programs' keys.
        set(
            &server,
            &["bull:no:17", "bull:no:message", "bull:no:17:id", "bull::meta", "bull:meta", "bull", "other:x:id"],
        );
        set(&server, &["bull:no:metrics:completed", "bull:no:id:lock", "bull2:x:id", "xbull:x:id", "lariat:bull:x:id"]);
        assert_eq!(found(&server, "bull").await, ["a b", "idle", "old", "parents", "zoo", "{mail}", "é"]);
    }

    #[tokio::test]
    async fn a_prefix_is_no_pattern() {
        let server = RedisServer::start();
        for prefix in ["b*l", "b?l", "b[u]l", "b\\l", "{b}", "b:l", "b^-l", "[^b]"] {
            set(&server, &[&format!("{prefix}:own:meta"), "bul:stranger:meta", "b:stranger:meta", "u:stranger:meta"]);
            assert_eq!(found(&server, prefix).await, ["own"], "{prefix}");
        }
    }

    #[tokio::test]
    async fn among_many_keys() {
        let server = RedisServer::start();
        let script = "for i = 1, 20000 do redis.call('HSET', 'bull:q' .. i % 7 .. ':' .. i, 'name', 'n') end
            for i = 1, 300 do redis.call('SET', 'bull:queue-' .. i .. ':id', i) end";
        redis::cmd("EVAL").arg(script).arg(0).exec(&mut server.connection()).unwrap();
        assert_eq!(found(&server, "bull").await.len(), 300);
    }
}
