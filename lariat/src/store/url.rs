//! What a store's URL means: `redis://…`, `redis+unix:…`, `sqlite:PATH`.
//!
//! No message made here holds a user or password of a URL that was refused: [`shown`] leaves them out.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use crate::error::{Error, ErrorKind};

const DEFAULT_PORT: u16 = 6379;

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

/// Which file, and what an answer promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SqliteAddress {
    pub place: SqlitePlace,
    pub durability: Durability,
    /// The file may be another program's: our tables are put beside those that are there (`?adopt=true`).
    pub adopt: bool,
}

impl SqliteAddress {
    /// In memory.
    pub(crate) const MEMORY: SqliteAddress =
        SqliteAddress { place: SqlitePlace::Memory, durability: Durability::Full, adopt: false };
}

/// Where a SQLite database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SqlitePlace {
    File(PathBuf),
    /// In memory, and gone with the store that opened it.
    Memory,
}

/// What is on the disk when a call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// All of it: it survives a power cut.
    Full,
    /// It survives the end of the process, but a power cut may undo the last moments.
    Normal,
}

impl fmt::Display for SqliteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            SqlitePlace::File(path) => write!(f, "sqlite:{}", path.display())?,
            SqlitePlace::Memory => f.write_str("sqlite::memory:")?,
        }
        f.write_str(match (self.durability, self.adopt) {
            (Durability::Full, false) => "",
            (Durability::Full, true) => "?adopt=true",
            (Durability::Normal, false) => "?durability=normal",
            (Durability::Normal, true) => "?durability=normal&adopt=true",
        })
    }
}

/// Where a Redis server is, and how to be let in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub place: Place,
    /// The numbered database; 0 unless the URL says otherwise.
    pub db: u32,
    pub user: Option<String>,
    pub password: Option<String>,
    /// Speak RESP3 (`?protocol=resp3`). RESP2 unless asked: it has the widest range of servers and proxies.
    pub resp3: bool,
}

/// Where a Redis server listens.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// Without user and password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp { host, port } if host.contains(':') => write!(f, "redis://[{host}]:{port}/{}", self.db),
            Place::Tcp { host, port } => write!(f, "redis://{host}:{port}/{}", self.db),
            Place::Unix(path) if self.db == 0 => write!(f, "redis+unix:{}", path.display()),
            Place::Unix(path) => write!(f, "redis+unix:{}?db={}", path.display(), self.db),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads a store URL; says what is built and what is not.
pub(crate) fn parse(url: &str) -> Result<Target, Error> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme.to_ascii_lowercase().as_str() {
        "redis" => tcp(url, rest).map(Target::Redis),
        "redis+unix" => unix(url, rest).map(Target::Redis),
        "sqlite" => sqlite(url, rest).map(Target::Sqlite),
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

fn refused(url: &str, rule: &str) -> Error {
    Error::invalid("store URL", shown(url), rule)
}

/// The URL without anything that may be a secret: what stands before its last `@`, its options, and what stands where
/// a port should be but is none (a login without its host).
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (&url[..scheme.len() + 3], rest));
    let (rest, options) = rest.split_once('?').map_or((rest, None), |(rest, options)| (rest, Some(options)));
    if options.is_some_and(|options| options.contains('@')) {
        return format!("{scheme}…");
    }
    let (login, server) = rest.rsplit_once('@').map_or(("", rest), |(_, server)| ("…@", server));
    let server = match server.split_once(':') {
        Some((host, port)) if !server.starts_with('[') => {
            let port = Some(port).filter(|port| port.split('/').next().is_some_and(|port| port.parse::<u16>().is_ok()));
            format!("{host}:{}", port.unwrap_or("…"))
        }
        _ => server.to_owned(),
    };
    format!("{scheme}{login}{server}{}", if options.is_some() { "?…" } else { "" })
}

fn tcp(url: &str, rest: &str) -> Result<Address, Error> {
    let rest = rest.strip_prefix("//").ok_or_else(|| refused(url, "must begin with redis://"))?;
    let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    if database.contains('@') || options.contains('@') {
        return Err(refused(
            url,
            "holds a user or password with one of / ? # @ that is not percent-encoded (%2F %3F %23 %40)",
        ));
    }
    let (login, server) = authority.rsplit_once('@').map_or((None, authority), |(login, server)| (Some(login), server));
    let (user, password) = login.map_or(Ok((None, None)), |login| credentials(url, login))?;
    let (host, port) = host_and_port(url, server)?;
    let mut address = Address { place: Place::Tcp { host, port }, db: 0, user, password, resp3: false };
    if !database.is_empty() {
        address.db = number(database).ok_or_else(|| refused(url, "must end in the number of a database, as in /0"))?;
    }
    for (name, value) in pairs(options) {
        match name {
            "protocol" => address.resp3 = protocol(url, value)?,
            _ => return Err(refused(url, "has an option that is not known: only protocol=resp2 or protocol=resp3 is")),
        }
    }
    Ok(address)
}

fn unix(url: &str, rest: &str) -> Result<Address, Error> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
    let path = decoded(path).filter(|path| !path.is_empty() && !path.contains('\0'));
    let path = path.ok_or_else(|| refused(url, "must name the server's socket, as in redis+unix:/run/redis.sock"))?;
    let mut address = Address { place: Place::Unix(path.into()), db: 0, user: None, password: None, resp3: false };
    for (name, value) in pairs(options) {
        let text = || decoded(value).ok_or_else(|| refused(url, "has an option that is not percent-encoded UTF-8"));
        match name {
            "db" => {
                address.db =
                    number(value).ok_or_else(|| refused(url, "must have the number of a database after db="))?;
            }
            "user" => address.user = Some(text()?),
            "password" => address.password = Some(text()?),
            "protocol" => address.resp3 = protocol(url, value)?,
            _ => return Err(refused(url, "has an option that is not known: db, user, password and protocol are")),
        }
    }
    Ok(address)
}

fn sqlite(url: &str, rest: &str) -> Result<SqliteAddress, Error> {
    let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
    let place = if path == ":memory:" {
        SqlitePlace::Memory
    } else {
        let path = decoded(path.strip_prefix("//").unwrap_or(path));
        let path = path.filter(|path| !path.is_empty() && !path.contains('\0') && !path.ends_with('/'));
        let path =
            path.ok_or_else(|| refused(url, "must name a file, as in sqlite:lariat.db, or be sqlite::memory:"))?;
        SqlitePlace::File(path.into())
    };
    let mut address = SqliteAddress { place, ..SqliteAddress::MEMORY };
    for (name, value) in pairs(options) {
        match (name, value) {
            ("durability", "full") => address.durability = Durability::Full,
            ("durability", "normal") => address.durability = Durability::Normal,
            ("durability", _) => return Err(refused(url, "must have full or normal after durability=")),
            ("adopt", _) if address.place == SqlitePlace::Memory => {
                return Err(refused(url, "must name a file where it has adopt="));
            }
            ("adopt", "true") => address.adopt = true,
            ("adopt", "false") => address.adopt = false,
            ("adopt", _) => return Err(refused(url, "must have true or false after adopt=")),
            _ => return Err(refused(url, "has an option that is not known: durability and adopt are")),
        }
    }
    Ok(address)
}

fn credentials(url: &str, login: &str) -> Result<(Option<String>, Option<String>), Error> {
    let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
    let part =
        |text| decoded(text).ok_or_else(|| refused(url, "has a user or password that is not percent-encoded UTF-8"));
    let user = Some(part(user)?).filter(|user| !user.is_empty());
    let password = password.map(part).transpose()?.filter(|password| !password.is_empty());
    Ok((user, password))
}

fn host_and_port(url: &str, server: &str) -> Result<(String, u16), Error> {
    let (host, port) = if let Some(rest) = server.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or_else(|| refused(url, "has a [ without its ]"))?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(refused(url, "must have an IPv6 address between [ and ]"));
        }
        let port = if port.is_empty() { None } else { Some(port.strip_prefix(':').unwrap_or("")) };
        (host, port)
    } else {
        let (host, port) = server.split_once(':').map_or((server, None), |(host, port)| (host, Some(port)));
        if port.is_some_and(|port| port.contains(':')) {
            return Err(refused(
                url,
                "has too many colons: an IPv6 address stands in brackets, a colon in a password is %3A",
            ));
        }
        if host.is_empty() {
            return Err(refused(url, "names no host"));
        }
        if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
            return Err(refused(
                url,
                "has a host with characters other than letters, digits, dot, hyphen and underscore",
            ));
        }
        (host, port)
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => number(port)
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port != 0)
            .ok_or_else(|| refused(url, "must have a port from 1 to 65535"))?,
    };
    Ok((host.to_owned(), port))
}

fn protocol(url: &str, value: &str) -> Result<bool, Error> {
    match value {
        "resp2" | "2" => Ok(false),
        "resp3" | "3" => Ok(true),
        _ => Err(refused(url, "must have resp2 or resp3 after protocol=")),
    }
}

fn pairs(options: &str) -> impl Iterator<Item = (&str, &str)> {
    options.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<u32> {
    Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// Percent-decoded text; None when it is not well formed, or not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = rest else { return None };
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
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
            ("sqlite:x.db?adopt=true&durability=normal&adopt=false", file("x.db", Durability::Normal)),
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
            ("redis+unix:/s?pass=w@hunter2", "an option that is not known"),
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
            ("redis://h?password=hunter2", "an option that is not known"),
            ("redis://:hunter2@h?protocol=resp4", "resp2 or resp3"),
            ("redis+unix:?password=hunter2", "must name the server's socket"),
            ("redis+unix:/s?db=a&password=hunter2", "number of a database"),
            ("redis+unix:/s?pass=hunter2", "an option that is not known"),
            ("sqlite:", "must name a file"),
            ("sqlite:jobs/", "must name a file"),
            ("sqlite:x?durability=none", "full or normal"),
            ("sqlite:x?adopt=yes", "true or false"),
            ("sqlite::memory:?adopt=true", "must name a file"),
            ("sqlite:x?password=hunter2", "an option that is not known"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            assert!(error.to_string().contains("store URL") && error.to_string().contains(rule), "{url}: {error}");
            assert!(!format!("{error:?}{error}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn what_is_refused_is_still_recognised() {
        for (url, seen) in [
            ("lariat.db", "lariat.db"),
            ("localhost:6379", "localhost:6379"),
            ("redis://ann:pw@h:70000/1", "redis://…@h:…"),
            ("redis://ann:pw@h:7000/x?y=z", "redis://…@h:7000/x?…"),
            ("redis://[::1]:x", "redis://[::1]:x"),
        ] {
            assert_eq!(shown(url), seen);
        }
    }

    #[test]
    fn an_address_shows_neither_user_nor_password() {
        let address = redis("redis://ann:hunter2@h:1/2");
        assert_eq!(address.to_string(), "redis://h:1/2");
        assert_eq!(format!("{address:?}"), "redis://h:1/2");
    }
}
