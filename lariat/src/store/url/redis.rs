//! Where a Redis server is: `redis://…`, `redis+unix:…`.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use super::options::{self, decoded};
use super::refusal::refused;
use crate::error::Error;

const DEFAULT_PORT: u16 = 6379;

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

pub(super) fn tcp(url: &str, rest: &str) -> Result<Address, Error> {
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
    for (_, value) in options::read(url, options, &["protocol"])? {
        address.resp3 = protocol(url, value)?;
    }
    Ok(address)
}

pub(super) fn unix(url: &str, rest: &str) -> Result<Address, Error> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
    let path = decoded(path).filter(|path| !path.is_empty() && !path.contains('\0'));
    let path = path.ok_or_else(|| refused(url, "must name the server's socket, as in redis+unix:/run/redis.sock"))?;
    let mut address = Address { place: Place::Unix(path.into()), db: 0, user: None, password: None, resp3: false };
    for (name, value) in options::read(url, options, &["db", "user", "password", "protocol"])? {
        let text = || decoded(value).ok_or_else(|| refused(url, "has an option that is not percent-encoded UTF-8"));
        match name {
            "db" => {
                address.db =
                    number(value).ok_or_else(|| refused(url, "must have the number of a database after db="))?;
            }
            "user" => address.user = Some(text()?),
            "password" => address.password = Some(text()?),
            _ => address.resp3 = protocol(url, value)?,
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

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<u32> {
    Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}
