//! A test that sleeps guesses at time; it should wait for a condition. Where passing time is itself what is tested, a
//! comment that begins with `sleep:` says so, on the line or just above it.

use super::rust::{self, Source, has_word};
use super::{Problem, Tree};

const MARK: &str = "// sleep: ";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for Source { file, lines } in rust::sources(tree) {
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.test && sleeps(&line.code)) {
            let above = lines[..at].iter().rev().map(|line| line.raw.trim()).take_while(|raw| raw.starts_with("//"));
            if !above
                .chain([line.raw])
                .any(|raw| raw.split_once(MARK).is_some_and(|(_, reason)| !reason.trim().is_empty()))
            {
                let what = format!("a test sleeps: wait for a condition, or say why it must, after `{}`", MARK.trim());
                problems.push(Problem::new(file, at + 1, what));
            }
        }
    }
    problems
}

fn sleeps(code: &str) -> bool {
    code.contains("sleep(") && (has_word(code, "sleep")) && !code.contains("fn sleep(")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn red(file: &str, text: &str) -> bool {
        !check(&Tree::of(&[(file, text)])).is_empty()
    }

    #[test]
    fn only_tests_and_only_without_a_reason() {
        assert!(red("a/tests/a.rs", "    tokio::time::sleep(ms(5)).await;\n"));
        assert!(red("a/src/a.rs", "#[cfg(test)]\nmod tests {\n    thread::sleep(x);\n}\n"));
        assert!(!red("a/src/a.rs", "thread::sleep(x);\n"));
        assert!(!red("a/tests/a.rs", "// thread::sleep(x);\nlet s = \"sleep(\";\nasleep(1);\n"));
    }

    #[test]
    fn a_reason_stands_on_the_line_or_above_it() {
        assert!(!red("a/tests/a.rs", "sleep(x); // sleep: the lock must run out\n"));
        assert!(!red("a/tests/a.rs", "// sleep: the lock must run out,\n// which takes its time.\nsleep(x);\n"));
        assert!(red("a/tests/a.rs", "// sleep:\nsleep(x);\n"), "no reason");
        assert!(red("a/tests/a.rs", "// sleep: for the first\nsleep(x);\nsleep(y);\n"), "not its own");
    }
}
