//! What is said of a URL that is refused.
//!
//! No message made here holds a user or password of it: [`shown`] leaves them out.

use crate::error::Error;

pub(super) fn refused(url: &str, rule: &str) -> Error {
    Error::invalid("store URL", shown(url), rule)
}

/// The URL without anything that may be a secret: what stands before its last `@`, its options, and what stands where
/// a port should be but is none (a login without its host).
fn shown(url: &str) -> String {
    if let Some(path) = path(url) {
        return path;
    }
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

/// A URL that names a file or socket, which is no secret, up to its `?`; None where it could yet hold a login.
fn path(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once(':')?;
    let (path, options) = rest.split_once('?').map_or((rest, None), |(path, options)| (path, Some(options)));
    let login = match scheme.to_ascii_lowercase().as_str() {
        "sqlite" => rest.rsplit_once('@').is_some_and(|(before, _)| before.contains([':', '?'])),
        "redis+unix" => rest.contains('@'),
        _ => true,
    };
    (!login).then(|| format!("{scheme}:{path}{}", if options.is_some() { "?…" } else { "" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_still_recognised() {
        for (url, seen) in [
            ("lariat.db", "lariat.db"),
            ("localhost:6379", "localhost:6379"),
            ("redis://ann:pw@h:70000/1", "redis://…@h:…"),
            ("redis://ann:pw@h:7000/x?y=z", "redis://…@h:7000/x?…"),
            ("redis://[::1]:x", "redis://[::1]:x"),
            ("sqlite:/srv/a@b/x.db?adopt=yes", "sqlite:/srv/a@b/x.db?…"),
            ("sqlite:jobs/", "sqlite:jobs/"),
            ("sqlite::memory:?adopt=true", "sqlite::memory:?…"),
            ("redis+unix:/run/redis.sock?db=a", "redis+unix:/run/redis.sock?…"),
            // What may be a login, of somebody who takes a path for a server.
            ("sqlite://ann:pw@h/x.db?y=z", "sqlite://…@h/x.db?…"),
            ("sqlite://ann:p?w@h/x.db", "sqlite://…"),
            ("redis+unix://ann@/run/redis.sock?y=z", "redis+unix://…@/run/redis.sock?…"),
        ] {
            assert_eq!(shown(url), seen);
        }
    }
}
