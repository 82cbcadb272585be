//! Files that one can read at a sitting.

use super::{Problem, Tree, rust};

/// Lines of code of a Rust file, without docs and tests.
const RUST: usize = 400;
/// Lines of code of a Lua script, and of one transition that scripts share.
const LUA_SCRIPT: usize = 120;
const LUA_TRANSITION: usize = 60;

/// Files that may be longer: which, how long, and why. A state machine is better whole than sliced.
const EXCEPTIONS: [(&str, usize, &str); 0] = [];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    check_with(tree, &EXCEPTIONS)
}

fn check_with(tree: &Tree, exceptions: &[(&str, usize, &str)]) -> Vec<Problem> {
    let code = |line: &rust::Line<'_>| line.is_code() && !line.test;
    let rust = rust::sources(tree)
        .into_iter()
        .map(|source| (source.file, source.lines.iter().filter(|l| code(l)).count(), RUST));
    let lua = tree.with_extension("lua").map(|(file, text)| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--")).count();
        (file, lines, if file.contains("/lua/lib/") { LUA_TRANSITION } else { LUA_SCRIPT })
    });
    let mut problems = Vec::new();
    for (file, lines, usual) in rust.chain(lua) {
        let exception = exceptions.iter().find(|(name, ..)| *name == file);
        let limit = exception.map_or(usual, |(_, limit, _)| *limit);
        if lines > limit {
            problems.push(Problem::new(
                file,
                0,
                format!("{lines} lines of code, at most {limit}: what are its two halves?"),
            ));
        } else if exception.is_some() && lines <= usual {
            problems.push(Problem::new(
                file,
                0,
                format!("is an exception to the size of files but needs none: {lines} lines"),
            ));
        }
    }
    let gone = exceptions.iter().filter(|(name, ..)| tree.text(name).is_none());
    problems.extend(
        gone.map(|(name, ..)| Problem::new(name, 0, "is an exception to the size of files, but there is no such file")),
    );
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn red(file: &str, text: &str, exceptions: &[(&str, usize, &str)]) -> bool {
        !check_with(&Tree::of(&[(file, text)]), exceptions).is_empty()
    }

    #[test]
    fn code_is_counted_and_docs_and_tests_are_not() {
        let code = "x();\n".repeat(400);
        let test = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "y();\n".repeat(900));
        let docs = "/// doc\n// why\n\n".repeat(500);
        assert!(!red("a/src/a.rs", &format!("{docs}{code}{test}"), &[]));
        assert!(red("a/src/a.rs", &format!("{docs}{code}x();\n{test}"), &[]));
        assert!(!red("a/tests/a.rs", &"x();\n".repeat(999), &[]));
    }

    #[test]
    fn lua_has_limits_of_its_own() {
        let lines = |n| format!("--- why\n\n{}", "x()\n".repeat(n));
        assert!(!red("s/lua/add.lua", &lines(120), &[]) && red("s/lua/add.lua", &lines(121), &[]));
        assert!(!red("s/lua/lib/add.lua", &lines(60), &[]) && red("s/lua/lib/add.lua", &lines(61), &[]));
    }

    #[test]
    fn exceptions_hold_while_they_are_needed() {
        let exceptions = [("a/src/a.rs", 500, "a state machine")];
        assert!(!red("a/src/a.rs", &"x();\n".repeat(500), &exceptions));
        assert!(red("a/src/a.rs", &"x();\n".repeat(501), &exceptions));
        assert!(red("a/src/a.rs", "x();\n", &exceptions), "not needed any more");
        assert!(red("a/src/b.rs", "x();\n", &exceptions), "there is no such file");
    }
}
