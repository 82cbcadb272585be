//! A test of what the library or the command does runs on every store. One that runs on one only, or on none, says why:
//! in its own doc comment, or in that of its file, after one of these words.

use super::rust::{self, Line, Source};
use super::{Problem, Tree};

/// Where a test without a word is one that was forgotten.
const FOLDERS: [&str; 2] = ["lariat/tests/behaviour/", "lariat-cli/tests/cli/"];
const MARKS: [&str; 5] = ["On Redis only: ", "In a file only: ", "In memory only: ", "On both: ", "Without a store: "];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for Source { file, lines } in rust::sources(tree) {
        if !FOLDERS.iter().any(|folder| file.starts_with(folder)) || lines.iter().any(|line| says_why(line, "//! ")) {
            continue;
        }
        for (at, _) in lines.iter().enumerate().filter(|(_, line)| is_test(line)) {
            let above = lines[..at].iter().rev().take_while(|line| is_head(line));
            let below = lines[at..].iter().take_while(|line| is_head(line));
            if !above.chain(below).any(|line| says_why(line, "/// ") || line.code.trim().starts_with("#[ignore")) {
                let what = "a test outside of `on_both_stores!`: put it there, or say why not in its doc comment, after one \
                            of the words in CONTRIBUTING.md, like `On Redis only:`";
                problems.push(Problem::new(file, at + 1, what));
            }
        }
    }
    problems
}

/// `#[test]`, `#[tokio::test(…)]`; not the one that a macro writes.
fn is_test(line: &Line<'_>) -> bool {
    let code = line.code.trim();
    ["#[test]", "#[tokio::test]", "#[tokio::test("].iter().any(|test| code.starts_with(test)) && !code.contains('$')
}

/// What stands between a function's doc comment and its name.
fn is_head(line: &Line<'_>) -> bool {
    let raw = line.raw.trim();
    raw.starts_with("///") || raw.starts_with("#[")
}

fn says_why(line: &Line<'_>, comment: &str) -> bool {
    line.raw.trim().strip_prefix(comment).is_some_and(|words| {
        MARKS.iter().any(|mark| words.split_once(mark).is_some_and(|(_, reason)| !reason.trim().is_empty()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn red(text: &str) -> usize {
        check(&Tree::of(&[("lariat/tests/behaviour/a.rs", text)])).len()
    }

    #[test]
    fn a_test_that_nothing_speaks_for_is_found() {
        assert_eq!(red("#[test]\nfn a() {}\n"), 1);
        assert_eq!(red("#[tokio::test(worker_threads = 2)]\nasync fn a() {}\n\n#[tokio::test]\nasync fn b() {}\n"), 2);
        assert_eq!(red("/// On Redis only: scripts.\n#[test]\nfn a() {}\n#[test]\nfn b() {}\n"), 1, "not its own");
        assert_eq!(red("/// On Redis only:\n#[test]\nfn a() {}\n"), 1, "no reason");
        let elsewhere = Tree::of(&[("lariat/tests/crash/a.rs", "#[test]\nfn a() {}\n")]);
        assert!(check(&elsewhere).is_empty());
    }

    #[test]
    fn a_reason_stands_with_the_test_or_with_the_file() {
        assert_eq!(red("/// What it is about.\n/// On Redis only: scripts.\n#[cfg(unix)]\n#[test]\nfn a() {}\n"), 0);
        assert_eq!(red("//! All about memory. In memory only: there is no other.\n\n#[test]\nfn a() {}\n"), 0);
    }

    #[test]
    fn neither_the_macro_nor_what_other_tests_start_needs_one() {
        assert_eq!(red("async fn a(f: Fixture) {}\n#[tokio::test($($flavor)*)]\nasync fn $test() {}\n"), 0);
        assert_eq!(red("#[test]\n#[ignore = \"a process that other tests start\"]\nfn a() {}\n"), 0);
    }
}
