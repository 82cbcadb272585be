//! What a store's URL means: `redis://…`, `redis+unix:…`, `sqlite:PATH`.

use std::fmt;

use crate::error::{Error, ErrorKind};

mod options;
mod redis;
mod refusal;
mod sqlite;

pub(crate) use self::redis::{Address, Place};
use self::redis::{tcp, unix};
use self::refusal::refused;
pub(crate) use self::sqlite::SqliteAddress;
#[cfg(any(test, feature = "sqlite"))]
pub(crate) use self::sqlite::{Durability, SqlitePlace};

/// Where jobs live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Redis(Address),
    Sqlite(SqliteAddress),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Redis(address) => address.fmt(f),
            Target::Sqlite(address) => address.fmt(f),
        }
    }
}

/// Reads a store URL; says what is built and what is not.
pub(crate) fn parse(url: &str) -> Result<Target, Error> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme.to_ascii_lowercase().as_str() {
        "redis" => tcp(url, rest).map(Target::Redis),
        "redis+unix" => unix(url, rest).map(Target::Redis),
        "sqlite" => sqlite::file(url, rest).map(Target::Sqlite),
        "rediss" => Err(unsupported(
            "TLS (rediss://) is not built yet: pass redis://host:port, over a trusted network or a tunnel",
        )),
        "redis+sentinel" => Err(unsupported(
            "Redis Sentinel (redis+sentinel://) is not built yet: pass the master itself, redis://host:port",
        )),
        "redis+cluster" => Err(unsupported(
            "Redis Cluster (redis+cluster://) is not built yet: pass a single server, redis://host:port",
        )),
        _ => Err(refused(url, "is not a store: pass sqlite:PATH, or redis://[user:password@]host[:port][/database]")),
    }
}

/// The address of a Redis server, for the tests of that store.
#[cfg(test)]
pub(crate) fn redis_address(url: &str) -> Result<Address, Error> {
    match parse(url)? {
        Target::Redis(address) => Ok(address),
        Target::Sqlite(_) => Err(refused(url, "is no Redis server")),
    }
}

fn unsupported(words: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis(url: &str) -> Address {
        match parse(url).unwrap() {
            Target::Redis(address) => address,
            Target::Sqlite(address) => panic!("{address}"),
        }
    }

    fn tcp_place(host: &str, port: u16) -> Place {
        Place::Tcp { host: host.into(), port }
    }

    #[test]
    fn every_part_may_be_left_out_but_the_host() {
        let address = redis("redis://localhost");
        assert!(address.place == tcp_place("localhost", 6379));
        assert_eq!((address.db, address.user, address.password, address.resp3), (0, None, None, false));
    }

    #[test]
    fn every_part_is_read() {
        let address = redis("REDIS://ann:pa%3ass%40w%C3%B6rd@redis-1.example.org:7000/12?protocol=resp3");
        assert!(address.place == tcp_place("redis-1.example.org", 7000));
        assert_eq!((address.db, address.resp3), (12, true));
        assert_eq!(address.user.as_deref(), Some("ann"));
        assert_eq!(address.password.as_deref(), Some("pa:ss@wörd"));
    }

    #[test]
    fn a_password_needs_no_user_and_a_user_no_password() {
        let address = redis("redis://:secret@h");
        assert_eq!((address.user, address.password.as_deref()), (None, Some("secret")));
        let address = redis("redis://ann@h");
        assert_eq!((address.user.as_deref(), address.password), (Some("ann"), None));
        // A colon in the password, as other clients take it.
        assert_eq!(redis("redis://:a:b@h").password.as_deref(), Some("a:b"));
        // And an @, the last of which ends it.
        assert_eq!(redis("redis://:a@b@h").password.as_deref(), Some("a@b"));
    }

    #[test]
    fn ipv6_stands_in_brackets() {
        assert!(redis("redis://[::1]:7000/1").place == tcp_place("::1", 7000));
        assert!(redis("redis://[fe80::2]").place == tcp_place("fe80::2", 6379));
        assert_eq!(redis("redis://[::1]:7000/1").to_string(), "redis://[::1]:7000/1");
    }

    #[test]
    fn a_socket_is_a_path() {
        for url in [
            "redis+unix:/run/redis%20x.sock?db=3&user=ann&password=p%26w",
            "redis+unix:///run/redis%20x.sock?db=3&user=ann&password=p%26w",
        ] {
            let address = redis(url);
            assert!(address.place == Place::Unix("/run/redis x.sock".into()));
            assert_eq!(
                (address.db, address.user.as_deref(), address.password.as_deref()),
                (3, Some("ann"), Some("p&w"))
            );
            assert_eq!(address.to_string(), "redis+unix:/run/redis x.sock?db=3");
        }
    }

    #[test]
    fn what_is_not_built_says_what_to_pass() {
        for url in ["rediss://:hunter2@h", "redis+sentinel://:hunter2@a:1,b:2/m", "redis+cluster://:hunter2@a:1"] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{url}");
            assert!(error.to_string().contains("is not built yet: pass "), "{error}");
            assert!(error.to_string().contains("redis://host:port"), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn a_file_is_a_path_and_memory_a_word() {
        let file = |path: &str, durability| {
            let place = SqlitePlace::File(path.into());
            SqliteAddress { place, durability, adopt: path.ends_with("shop.db") }
        };
        for (url, expected) in [
            ("sqlite:lariat.db", file("lariat.db", Durability::Full)),
            ("SQLITE:../a%20b.db?durability=full", file("../a b.db", Durability::Full)),
            ("sqlite:/var/lib/jobs.db?durability=normal", file("/var/lib/jobs.db", Durability::Normal)),
            ("sqlite:///var/lib/jobs.db", file("/var/lib/jobs.db", Durability::Full)),
            ("sqlite:shop.db?adopt=true", file("shop.db", Durability::Full)),
            ("sqlite:x.db?&adopt=false&durability=normal&", file("x.db", Durability::Normal)),
            ("sqlite::memory:", SqliteAddress::MEMORY),
        ] {
            assert_eq!(parse(url).unwrap(), Target::Sqlite(expected), "{url}");
        }
        for (url, seen) in [
            ("sqlite://lariat.db", "sqlite:lariat.db"),
            ("sqlite:x?durability=normal", "sqlite:x?durability=normal"),
            ("sqlite:x?adopt=true", "sqlite:x?adopt=true"),
            ("sqlite:x?adopt=true&durability=normal", "sqlite:x?durability=normal&adopt=true"),
            ("sqlite::memory:", "sqlite::memory:"),
        ] {
            assert_eq!(parse(url).unwrap().to_string(), seen);
        }
    }

    #[test]
    fn what_is_wrong_is_refused_with_the_rule_and_without_the_secret() {
        for (url, rule) in [
            ("", "is not a store"),
            ("localhost:6379", "is not a store"),
            ("ann:hunter2@h:6379", "is not a store"),
            ("http://ann:hunter2@h", "is not a store"),
            ("redis:ann:hunter2@h", "must begin with redis://"),
            ("redis://ann:hunter2", "port from 1 to 65535"),
            ("redis://:hunter2/0", "names no host"),
            ("redis://", "names no host"),
            (
                "redis+unix:/s?pass=w@hunter2",
                "the option pass, which is not known: db, user, password and protocol are",
            ),
            ("redis://:hunter2@", "names no host"),
            ("redis:///0", "names no host"),
            ("redis://:hunter2@h:0", "port from 1 to 65535"),
            ("redis://:hunter2@h:65536", "port from 1 to 65535"),
            ("redis://:hunter2@h:", "port from 1 to 65535"),
            ("redis://:hunter2@h:+7", "port from 1 to 65535"),
            ("redis://:hunter2@h:6379/x", "number of a database"),
            ("redis://:hunter2@h:6379/-1", "number of a database"),
            ("redis://:hunter2@h/1/2", "number of a database"),
            ("redis://:hunter2@::1:6379", "IPv6 address stands in brackets"),
            ("redis://:hunter2@[::1", "without its ]"),
            ("redis://:hunter2@[::1]6379", "port from 1 to 65535"),
            ("redis://:hunter2@[nonsense]", "IPv6 address between"),
            ("redis://:hunter2@h ost", "characters other than"),
            ("redis://:hunter2@h\n", "characters other than"),
            ("redis://:hunter2/x@h", "not percent-encoded (%2F"),
            ("redis://:hunter2?x@h", "not percent-encoded (%2F"),
            ("redis://:hunter2%zz@h", "not percent-encoded UTF-8"),
            ("redis://:hunter2%f@h", "not percent-encoded UTF-8"),
            ("redis://:hunter2%ff@h", "not percent-encoded UTF-8"),
            ("redis://h?password=hunter2", "the option password, which is not known: protocol is"),
            ("redis://:hunter2@h?protocol=resp4", "resp2 or resp3"),
            ("redis+unix:?password=hunter2", "must name the server's socket"),
            ("redis+unix:/s?db=a&password=hunter2", "number of a database"),
            ("redis+unix:/s?pass=hunter2", "the option pass, which is not known"),
            ("sqlite:", "must name a file"),
            ("sqlite:jobs/", "must name a file"),
            ("sqlite:x?durability=none", "full or normal"),
            ("sqlite:x?adopt=yes", "true or false"),
            ("sqlite::memory:?adopt=true", "must name a file"),
            ("sqlite:x?password=hunter2", "the option password, which is not known: durability and adopt are"),
            ("sqlite:x?adopt=true&adopt=false", "has adopt twice"),
            ("sqlite:x?durability=full&durability=full", "has durability twice"),
            ("redis://:hunter2@h?protocol=2&protocol=3", "has protocol twice"),
            ("redis+unix:/s?password=a&password=hunter2", "has password twice"),
            // A password that is not percent-encoded goes on in what looks like an option.
            ("redis+unix:/s?password=a&hunter2", "an option that is not known"),
            ("redis+unix:/s?password=a&hunter=hunter2", "an option that is not known"),
            ("redis+unix:/s?hunter2", "an option that is not known"),
            ("sqlite:x?hunter2=true", "an option that is not known"),
            ("sqlite:x?hunter2", "an option that is not known"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            assert!(error.to_string().contains("store URL") && error.to_string().contains(rule), "{url}: {error}");
            assert!(!format!("{error:?}{error}").contains("hunter2"), "{error:?}");
        }
        let error = parse("redis+unix:/s?password=a&hunter=b").unwrap_err();
        assert!(!error.to_string().contains("hunter"), "{error}");
        let error = parse("sqlite:jobs/shop.db?adpot=true").unwrap_err().to_string();
        assert_eq!(
            error,
            "store URL \"sqlite:jobs/shop.db?…\" has the option adpot, which is not known: durability and adopt are"
        );
    }

    #[test]
    fn an_address_shows_neither_user_nor_password() {
        let address = redis("redis://ann:hunter2@h:1/2");
        assert_eq!(address.to_string(), "redis://h:1/2");
        assert_eq!(format!("{address:?}"), "redis://h:1/2");
    }
}
