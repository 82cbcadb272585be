//! Rooms named for nothing, and traces of the machine on which something was written.

use super::{Problem, Tree};

/// A name that says what a file is not about.
const ROOMS: [&str; 6] = ["util", "utils", "common", "helpers", "misc", "types"];

/// Beginnings of absolute paths that only exist on one machine, in two parts so that this file does not hold them.
const PLACES: [(&str, &str); 3] = [("/ro", "ot/"), ("/wo", "rk/"), ("/fa", "rm/")];

/// Hosts of package registries: a lock file must not pin one, and the sources need not know one.
const HOSTS: [(&str, &str); 6] = [
    ("registry.npm", "js."),
    ("static.crates", ".io"),
    ("index.crates", ".io"),
    ("py", "pi.org"),
    ("files.python", "hosted"),
    ("deb.deb", "ian.org"),
];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (file, text) in tree.files() {
        let parts = file.split('/').map(|part| part.split('.').next().unwrap_or(part));
        problems.extend(parts.filter(|part| ROOMS.contains(part)).map(|part| {
            Problem::new(file, 0, format!("`{part}` says nothing about what is inside: name it for its purpose"))
        }));
        for (at, line) in text.lines().enumerate() {
            problems.extend(trace(line).map(|what| Problem::new(file, at + 1, what)));
        }
    }
    problems
}

fn trace(line: &str) -> Option<String> {
    let whole = |(head, tail): &(&str, &str)| format!("{head}{tail}");
    if let Some(host) = HOSTS.iter().map(whole).find(|host| line.contains(host)) {
        return Some(format!("names the registry host {host}"));
    }
    let place =
        PLACES.iter().map(whole).find(|place| line.match_indices(place).any(|(at, _)| begins_path(&line[..at])))?;
    Some(format!("holds a path of one machine: {place}..."))
}

/// Whether a slash after this text is the first of a path, rather than one in the middle of a relative path.
fn begins_path(before: &str) -> bool {
    !before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '*' | '}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> usize {
        check(&Tree::of(&[(file, text)])).len()
    }

    #[test]
    fn rooms_are_named_for_what_is_in_them() {
        assert_eq!(found("lariat/src/util.rs", ""), 1);
        assert_eq!(found("lariat/src/helpers/mod.rs", ""), 1);
        assert_eq!(found("lariat/src/store/redis/lua/lib/common.lua", ""), 1);
        assert_eq!(found("lariat/src/utility_bill.rs", ""), 0);
    }

    #[test]
    fn a_machines_paths_and_hosts_are_found() {
        for (head, tail) in PLACES {
            assert_eq!(found("a.md", &format!("see {head}{tail}x")), 1);
            assert_eq!(found("a.rs", &format!("(\"{head}{tail}x\")")), 1);
        }
        for (head, tail) in HOSTS {
            assert_eq!(found("package-lock.json", &format!("\"resolved\": \"https://{head}{tail}org/x\"")), 1);
        }
    }

    #[test]
    fn relative_paths_are_no_machines() {
        let (head, tail) = PLACES[1];
        assert_eq!(found("a.md", &format!("[`cmd{head}{tail}mod.rs`](lariat-cli/src{head}{tail}mod.rs)")), 0);
    }
}
