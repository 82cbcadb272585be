//! What a failure means: whether the call may have been carried out, and what to tell a person.
//!
//! No message holds a password or a payload: words of the server are cut short, and those about a login are not
//! repeated at all.

use std::time::Duration;

use redis::{RedisError, ServerError, Value};

use super::super::super::url::Address;
use crate::error::{Error, ErrorKind};

/// Characters of a server's own words that are repeated.
const MOST_WORDS: usize = 300;

/// The first error reply in a value, however deep.
pub(super) fn error_in(value: &Value) -> Option<&ServerError> {
    match value {
        Value::ServerError(reply) => Some(reply),
        Value::Array(values) | Value::Set(values) | Value::Push { data: values, .. } => {
            values.iter().find_map(error_in)
        }
        Value::Map(pairs) => pairs.iter().find_map(|(key, value)| error_in(key).or_else(|| error_in(value))),
        Value::Attribute { data, .. } => error_in(data),
        _ => None,
    }
}

/// Whether the reply says that this server is not, or not yet, or no longer, the one to talk to.
pub(super) fn wrong_server(reply: &ServerError) -> bool {
    matches!(code(reply), "LOADING" | "READONLY" | "MASTERDOWN" | "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN")
}

/// What an error reply to a command means. Redis gives the codes that are called
/// unreachable here before it has written anything.
pub(super) fn judge(reply: &ServerError, address: &Address) -> Error {
    let words = words(reply);
    let (kind, message) = match code(reply) {
        "LOADING" => (ErrorKind::Unreachable, format!("Redis at {address} is still loading its data")),
        "READONLY" => (ErrorKind::Unreachable, format!("Redis at {address} is a replica that takes no writes")),
        "MASTERDOWN" => (ErrorKind::Unreachable, format!("the replica at {address} has lost its master")),
        "BUSY" => (ErrorKind::Unreachable, format!("Redis at {address} is busy with somebody's script")),
        "NOREPLICAS" => (ErrorKind::Unreachable, format!("Redis at {address} has too few replicas to take writes")),
        "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" => (
            ErrorKind::Unreachable,
            format!("Redis at {address} is a node of a cluster, which is not built yet: {words}"),
        ),
        "NOAUTH" => (ErrorKind::Denied, no_password(address)),
        "WRONGPASS" => (ErrorKind::Denied, wrong_password(address)),
        "NOPERM" => (ErrorKind::Denied, no_permission(address, &words)),
        "OOM" => (
            ErrorKind::Store,
            format!("Redis at {address} is out of memory: it has reached its maxmemory and refuses writes"),
        ),
        "MISCONF" => (ErrorKind::Store, format!("Redis at {address} cannot save to its disk and refuses writes")),
        "WRONGTYPE" => (ErrorKind::Store, format!("a key in Redis at {address} has the wrong type: {words}")),
        _ => (ErrorKind::Store, format!("Redis at {address} answered with an error: {words}")),
    };
    Error::new(kind, message)
}

/// The code of an error reply. Servers before 7 put a script's own error behind `ERR Error running script`.
fn code(reply: &ServerError) -> &str {
    const INSIDE: [&str; 6] = ["OOM", "READONLY", "MASTERDOWN", "NOPERM", "WRONGTYPE", "MISCONF"];
    let details = reply.details().unwrap_or_default();
    if reply.code() == "ERR" && details.starts_with("Error running script") {
        let inside = |code: &&&str| details.split([' ', '-']).any(|word| word == **code);
        return INSIDE.iter().find(inside).copied().unwrap_or("ERR");
    }
    if reply.code() == "ERR" && details.starts_with("The user executing the script can't") {
        return "NOPERM";
    }
    reply.code()
}

fn words(reply: &ServerError) -> String {
    let text = format!("{} {}", reply.code(), reply.details().unwrap_or_default());
    match text.char_indices().nth(MOST_WORDS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn no_password(address: &Address) -> String {
    format!("Redis at {address} wants a password: put it in the URL, redis://user:password@host")
}

fn wrong_password(address: &Address) -> String {
    format!("Redis at {address} does not accept the user and password in the URL")
}

fn no_permission(address: &Address, words: &str) -> String {
    format!(
        "Redis at {address} does not allow this user what is needed: {words}. Its ACL must allow scripts, and the keys \
         of the queue's prefix and lariat:*"
    )
}

/// AUTH was refused.
pub(super) fn login(address: &Address, reply: &ServerError) -> Error {
    let details = reply.details().unwrap_or_default();
    let unwanted = details.contains("no password is set") || details.contains("without any password configured");
    match reply.code() {
        "WRONGPASS" => Error::new(ErrorKind::Denied, wrong_password(address)),
        "ERR" if details.contains("invalid password") => Error::new(ErrorKind::Denied, wrong_password(address)),
        "ERR" if unwanted => Error::new(
            ErrorKind::Denied,
            format!("Redis at {address} has no password, but the URL gives one: leave it out"),
        ),
        "LOADING" | "MASTERDOWN" | "BUSY" => not_serving(address, reply),
        // The server's words may repeat what it was sent.
        code => Error::new(ErrorKind::Denied, format!("Redis at {address} refused the login: {code}")),
    }
}

/// HELLO 3 was refused.
pub(super) fn hello(address: &Address, reply: &ServerError) -> Error {
    match reply.code() {
        "NOPROTO" | "ERR" => Error::new(
            ErrorKind::Unsupported,
            format!("Redis at {address} does not speak RESP3: leave protocol=resp3 out"),
        ),
        _ => not_serving(address, reply),
    }
}

/// SELECT was refused.
pub(super) fn select(address: &Address, reply: &ServerError) -> Error {
    match reply.code() {
        "ERR" => Error::new(
            ErrorKind::Unsupported,
            format!("Redis at {address} does not have that database: {}", words(reply)),
        ),
        _ => not_serving(address, reply),
    }
}

/// Connected, but the server does not serve.
pub(super) fn not_serving(address: &Address, reply: &ServerError) -> Error {
    judge(reply, address)
}

pub(super) fn not_connected(address: &Address, error: RedisError) -> Error {
    Error::new(ErrorKind::Unreachable, format!("cannot connect to Redis at {address}: {error}")).because(error)
}

/// The connection was accepted, and closed before the login was answered.
pub(super) fn hung_up(address: &Address, error: RedisError) -> Error {
    let words = "took the connection and closed it: it may have as many clients as it takes, or no server stands behind a proxy";
    Error::new(ErrorKind::Unreachable, format!("Redis at {address} {words}")).because(error)
}

pub(super) fn no_greeting(address: &Address, waited: Duration) -> Error {
    let seconds = waited.as_secs();
    Error::new(ErrorKind::Unreachable, format!("Redis at {address} did not answer a new connection within {seconds} s"))
}

pub(super) fn still_dialling(address: &Address) -> Error {
    Error::new(ErrorKind::Unreachable, format!("no connection to Redis at {address} yet: it is being made"))
}

/// Nothing was sent.
pub(super) fn no_time_left(address: &Address) -> Error {
    Error::new(ErrorKind::Unreachable, format!("no time was left to ask Redis at {address}"))
}

pub(super) fn lost(address: &Address, error: RedisError) -> Error {
    Error::new(
        ErrorKind::Unknown,
        format!("the connection to Redis at {address} broke before the answer came: {error}"),
    )
    .because(error)
}

pub(super) fn timed_out(address: &Address) -> Error {
    Error::new(ErrorKind::Unknown, format!("Redis at {address} did not answer in time"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::url;

    fn reply(line: &str) -> ServerError {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        error_in(&value).unwrap().clone()
    }

    fn address() -> Address {
        url::redis_address("redis://ann:hunter2@h").unwrap()
    }

    /// As each server words it: (the reply, what it means, whether it costs the connection).
    #[test]
    fn every_reply_has_its_meaning() {
        use ErrorKind::{Denied, Store, Unreachable};
        for (line, kind, wrong) in [
            ("LOADING Redis is loading the dataset in memory", Unreachable, true),
            ("READONLY You can't write against a read only replica.", Unreachable, true),
            (
                "READONLY You can't write against a read only replica. script: 6d0, on @user_script:1.",
                Unreachable,
                true,
            ),
            (
                "ERR Error running script (call to f_6d0): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.",
                Unreachable,
                true,
            ),
            ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", Unreachable, true),
            ("MOVED 3999 127.0.0.1:6381", Unreachable, true),
            ("ASK 3999 127.0.0.1:6381", Unreachable, true),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Unreachable, true),
            ("CLUSTERDOWN Hash slot not served", Unreachable, true),
            (
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
                Unreachable,
                false,
            ),
            ("NOREPLICAS Not enough good replicas to write.", Unreachable, false),
            ("NOAUTH Authentication required.", Denied, false),
            ("WRONGPASS invalid username-password pair or user is disabled.", Denied, false),
            ("NOPERM this user has no permissions to run the 'evalsha' command", Denied, false),
            ("NOPERM User ann has no permissions to access one of the keys used as arguments", Denied, false),
            (
                "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments script: 6d0, on @user_script:1.",
                Denied,
                false,
            ),
            (
                "ERR Error running script (call to f_6d0): @user_script:1: @user_script: 1: -NOPERM The user executing the script can't run this command or subcommand",
                Denied,
                false,
            ),
            ("OOM command not allowed when used memory > 'maxmemory'.", Store, false),
            (
                "ERR Error running script (call to f_6d0): @user_script:1: @user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.",
                Store,
                false,
            ),
            (
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
                Store,
                false,
            ),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", Store, false),
            ("CROSSSLOT Keys in request don't hash to the same slot", Store, false),
            ("ERR unknown command 'EVALSHA'", Store, false),
            (
                "ERR Error running script (call to f_6d0): @user_script:1: user_script:1: NOPERMISSION is a word",
                Store,
                false,
            ),
        ] {
            let reply = reply(line);
            let error = judge(&reply, &address());
            assert_eq!((error.kind(), wrong_server(&reply)), (kind, wrong), "{line}: {error}");
            assert!(error.to_string().contains("redis://h:6379/0"), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        let error = judge(&reply(&format!("ERR {}", "ü".repeat(10_000))), &address());
        assert!(error.to_string().chars().count() < MOST_WORDS + 100);
        assert!(error.to_string().ends_with("ü…"));
    }

    #[test]
    fn a_login_is_never_repeated() {
        for line in [
            "ERR unknown command 'AUTH', with args beginning with: 'hunter2'",
            "ERR wrong number of arguments for 'auth' command hunter2",
            "MINE hunter2",
        ] {
            let error = login(&address(), &reply(line));
            assert_eq!(error.kind(), ErrorKind::Denied);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn an_error_is_found_however_deep_and_in_every_shape() {
        for text in ["*2\r\n:1\r\n*1\r\n-ERR x\r\n", "%1\r\n+a\r\n-ERR x\r\n", "~1\r\n-ERR x\r\n", "-ERR x\r\n"] {
            let value = redis::parse_redis_value(text.as_bytes()).unwrap();
            assert!(error_in(&value).is_some(), "{text:?}");
        }
        let value = redis::parse_redis_value(b"*2\r\n:1\r\n%1\r\n+a\r\n$-1\r\n").unwrap();
        assert!(error_in(&value).is_none());
    }
}
