//! Who may know whom. The drawing is DESIGN's:
//!
//! ```text
//! cli -> queue, worker, flow, schedule, events -> store (seam) -> job, retry -> id, time, error
//!                 worker -> lariat-lock <- store (implements LockStore)
//! store/{redis,sqlite} -> seam; never queue, never worker
//! ```
//!
//! Checked on every path in the code that begins with `crate`, `super`, `self` or the name of a crate, in `use` lines or
//! elsewhere; tests may look anywhere.

use super::rust::{self, Line, Source};
use super::{Problem, Tree};

/// A room of the library and its floor; paths go down or stay on the floor.
const ROOMS: [(&str, u8); 17] = [
    ("error", 0),
    ("id", 0),
    ("time", 0),
    ("telemetry", 0),
    ("job", 1),
    ("retry", 1),
    ("store", 2),
    ("store::redis", 2),
    ("store::sqlite", 2),
    ("queue", 3),
    ("worker", 3),
    ("router", 3),
    ("flow", 3),
    ("schedule", 3),
    ("events", 3),
    ("testing", 3),
    ("lib", 4),
];

/// Crates that code in a place must not name: where, which, why.
const CRATES: [(&str, &[&str], &str); 6] = [
    (
        "lariat-lock/src/",
        &["lariat", "redis", "rusqlite", "serde", "serde_json", "interop"],
        "the heart knows no job, no queue and no store",
    ),
    (
        "lariat-cli/src/",
        &["lariat_lock", "redis", "rusqlite", "interop"],
        "the command sees the library's public face only",
    ),
    ("interop/src/", &["lariat", "lariat_lock"], "the library's tests stand on the test kit"),
    ("lariat/src/", &["interop"], "the test kit is for tests"),
    ("lariat/src/id.rs", &["lariat_lock"], "the ground floor knows nothing above it"),
    ("lariat/src/time.rs", &["lariat_lock"], "the ground floor knows nothing above it"),
];

const LIBRARY: &str = "lariat/src/";

/// The one file beside which a room is called `redis` too: there the bare name means the room.
const SEAM: &str = "lariat/src/store/mod.rs";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for Source { file, lines } in rust::sources(tree) {
        for (line, path) in paths(&lines) {
            problems.extend(foreign(file, &path).map(|what| Problem::new(file, line, what)));
            if let Some(module) = file.strip_prefix(LIBRARY) {
                problems.extend(upward(module, &path).map(|what| Problem::new(file, line, what)));
            }
        }
    }
    // A `use` with several names from one room is one problem.
    problems.dedup();
    problems
}

/// A crate that must not be named here.
fn foreign(file: &str, path: &[String]) -> Option<String> {
    let name = path.first()?;
    let knows_redis = file.starts_with("lariat/src/store/redis/") || file == SEAM;
    if name == "redis" && path.len() > 1 && file.starts_with(LIBRARY) && !knows_redis {
        return Some("names the crate `redis`: only store/redis knows it".into());
    }
    let (_, _, why) =
        CRATES.iter().find(|(place, names, _)| file.starts_with(place) && names.contains(&name.as_str()))?;
    Some(format!("names the crate `{name}`: {why}"))
}

/// A room that must not be named in this file of the library (its path below `src/`).
fn upward(file: &str, path: &[String]) -> Option<String> {
    let here = module_of(file);
    let target = absolute(&here, path)?;
    let (from, floor) = room(&here)?;
    let Some((to, target_floor)) = room(&target) else {
        return target.first().filter(|name| is_module(name)).map(|name| {
            format!("`{name}` is no room of the house: put it in xtask's drawing, or under a room that is")
        });
    };
    let store = |name: &str| matches!(name, "store::redis" | "store::sqlite");
    let refusal = if target_floor > floor {
        "arrows only go down"
    } else if store(to) && store(from) && to != from {
        "one store does not know the other"
    } else if store(to) && from != to && file != "store/mod.rs" && from != "lib" {
        "only store/mod.rs opens a store; all others go through the seam"
    } else {
        return None;
    };
    Some(format!("{from} -> {to}: {refusal}"))
}

/// Rooms are modules; what begins with a capital is a re-export at the top, which `lib.rs` answers for.
fn is_module(name: &str) -> bool {
    name.chars().all(|c| c.is_lowercase() || c == '_' || c.is_numeric())
}

fn room(module: &[String]) -> Option<(&'static str, u8)> {
    let whole = module.join("::");
    let within = |name: &str| whole == name || whole.starts_with(&format!("{name}::"));
    ROOMS.into_iter().filter(|(name, _)| within(name)).max_by_key(|(name, _)| name.len())
}

/// `store/redis/mod.rs` -> `store::redis`.
fn module_of(file: &str) -> Vec<String> {
    let module = file.trim_end_matches(".rs").trim_end_matches("/mod");
    module.split('/').map(str::to_owned).collect()
}

/// A path from the crate's root, if it leads into this crate.
fn absolute(here: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut base = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "self" => here.to_vec(),
        "super" => here[..here.len().checked_sub(1)?].to_vec(),
        _ => return None,
    };
    for name in &path[1..] {
        if name == "super" {
            base.pop();
        } else {
            base.push(name.clone());
        }
    }
    Some(base)
}

/// All paths outside of tests with the line on which they stand; braces are taken apart.
fn paths(lines: &[Line<'_>]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut statement: Option<(usize, String)> = None;
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.test) {
        let code = line.code.trim();
        if statement.is_none() && is_use(code) {
            statement = Some((at + 1, String::new()));
        }
        let Some((begun, text)) = &mut statement else {
            found.extend(inline(code).map(|path| (at + 1, path)));
            continue;
        };
        text.push_str(code);
        text.push(' ');
        if code.contains(';') {
            let tree = text.split_once("use ").map_or("", |(_, tree)| tree).split(';').next().unwrap_or("");
            found.extend(expand(tree).into_iter().map(|path| (*begun, path)));
            statement = None;
        }
    }
    found
}

fn is_use(code: &str) -> bool {
    let code = match code.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')').map_or("", |(_, rest)| rest),
        Some(rest) => rest,
        None => code,
    };
    code.trim_start().starts_with("use ")
}

/// `a::{b, c::{d, self}}` -> `a::b`, `a::c::d`, `a::c`.
fn expand(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree);
        return vec![names(path).collect()];
    };
    let head: Vec<String> = names(head).collect();
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let mut branches = vec![String::new()];
    let mut depth = 0;
    for c in inner.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(branch) = branches.last_mut() {
            branch.push(c);
        }
    }
    let branches = branches.iter().filter(|branch| !branch.trim().is_empty());
    branches
        .flat_map(|branch| expand(branch))
        .map(|branch| head.iter().cloned().chain(branch.into_iter().filter(|name| name != "self")).collect())
        .collect()
}

fn names(path: &str) -> impl Iterator<Item = String> {
    path.split("::").map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Paths of two names or more in a line that is no `use`.
fn inline(code: &str) -> impl Iterator<Item = Vec<String>> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        .map(|word| names(word.trim_start_matches("::")).collect::<Vec<_>>())
        .filter(|path| path.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(file: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(file, text)])).into_iter().map(|problem| problem.to_string()).collect()
    }

    #[track_caller]
    fn red(file: &str, text: &str, why: &str) {
        let found = problems(file, text);
        assert!(found.len() == 1 && found[0].contains(why), "{file}: {text}: {found:?}");
    }

    #[track_caller]
    fn green(file: &str, text: &str) {
        assert_eq!(problems(file, text), Vec::<String>::new(), "{file}: {text}");
    }

    #[test]
    fn arrows_go_down() {
        green("lariat/src/worker/run.rs", "use crate::store::exchange::Exchange;\nuse crate::job::Job;\n");
        green("lariat/src/store/redis/add.rs", "use super::super::change::AddJob;\nuse crate::id::JobId;\n");
        green("lariat/src/queue/mod.rs", "use crate::error::Error;\n");
        red("lariat/src/store/mod.rs", "use crate::worker::Worker;\n", "store -> worker: arrows only go down");
        red("lariat/src/store/redis/add.rs", "use crate::queue::Queue;\n", "store::redis -> queue");
        red("lariat/src/job/handle.rs", "use crate::store::JobStore;\n", "job -> store");
        red("lariat/src/retry.rs", "use crate::{id::JobId, worker::Worker};\n", "retry -> worker");
        red("lariat/src/id.rs", "use crate::job::Job;\n", "id -> job");
    }

    #[test]
    fn all_ways_of_naming_a_room_count() {
        red(
            "lariat/src/store/url.rs",
            "use crate::{\n    id::JobId,\n    queue::{self, add::Add},\n};\n",
            "store -> queue",
        );
        red("lariat/src/store/url.rs", "use super::super::worker::Worker;\n", "store -> worker");
        red("lariat/src/store/url.rs", "fn f(w: &crate::worker::Worker) {}\n", "store -> worker");
        red("lariat/src/store/url.rs", "pub(crate) use crate::flow::Flow as F;\n", "store -> flow");
        green("lariat/src/store/url.rs", "// use crate::worker::Worker;\nlet s = \"crate::worker::Worker\";\n");
        green("lariat/src/store/url.rs", "#[cfg(test)]\nmod tests {\n    use crate::worker::Worker;\n}\n");
    }

    #[test]
    fn the_stores_stand_behind_the_seam() {
        red(
            "lariat/src/worker/run.rs",
            "use crate::store::redis::Keys;\n",
            "worker -> store::redis: only store/mod.rs",
        );
        red("lariat/src/store/sqlite/add.rs", "use crate::store::redis::Keys;\n", "one store does not know the other");
        red("lariat/src/store/exchange.rs", "use super::redis::Keys;\n", "only store/mod.rs opens a store");
        green(
            "lariat/src/store/mod.rs",
            "use self::redis::RedisBackend;\nuse crate::store::sqlite::File;\nredis::RedisStore::new();\n",
        );
        green("lariat/src/store/redis/add.rs", "use super::keys::Keys;\nuse ::redis::Cmd;\nuse redis::Value;\n");
        red("lariat/src/store/url.rs", "use redis::Client;\n", "only store/redis knows it");
        red("lariat/src/queue/mod.rs", "fn f(c: ::redis::Client) {}\n", "only store/redis knows it");
    }

    #[test]
    fn crates_stand_on_each_other_in_one_order() {
        red("lariat-lock/src/table.rs", "use lariat::Queue;\n", "the heart knows no job");
        red("lariat-lock/src/table.rs", "use redis::Client;\n", "the heart knows no job");
        red("lariat-cli/src/main.rs", "use lariat_lock::LockManager;\n", "public face only");
        red("interop/src/node.rs", "use lariat::Queue;\n", "stand on the test kit");
        green("lariat-cli/src/main.rs", "use lariat::Queue;\n");
        green("lariat/src/worker/run.rs", "use lariat_lock::LockManager;\n");
        green("interop/tests/both.rs", "use lariat::Queue;\n");
    }

    #[test]
    fn a_new_room_belongs_in_the_drawing() {
        red("lariat/src/queue/mod.rs", "use crate::cellar::Wine;\n", "`cellar` is no room of the house");
        green("lariat/src/queue/mod.rs", "use crate::Error;\n");
    }
}
