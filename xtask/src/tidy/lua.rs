//! Each script says at its top what it does, takes, answers, writes and announces, and which script of `BullMQ` it must
//! agree with: the header is the contract that callers and the agreement test are read against.

use super::{Problem, Tree};

const SCRIPTS: &str = "lariat/src/store/redis/lua/";

/// What a header tells, and the words that its line begins with.
const PARTS: [(&str, &[&str]); 6] = [
    ("its KEYS", &["keys "]),
    ("its ARGV with units", &["argv "]),
    ("its reply", &["reply"]),
    ("its errors", &["errors"]),
    ("the keys it writes", &["writes"]),
    ("the events it adds", &["events", "writes, events"]),
];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let scripts = tree
        .with_extension("lua")
        .filter(|(file, _)| file.strip_prefix(SCRIPTS).is_some_and(|name| !name.contains('/')));
    scripts.flat_map(|(file, text)| header_problems(file, text)).collect()
}

fn header_problems(file: &str, text: &str) -> Vec<Problem> {
    let header: Vec<String> = text
        .lines()
        .take_while(|line| line.starts_with("--"))
        .map(|line| line.trim_start_matches('-').trim().to_lowercase())
        .filter(|line| !line.is_empty())
        .collect();
    let mut missing: Vec<&str> = PARTS
        .iter()
        .filter(|(_, words)| !header.iter().any(|line| words.iter().any(|word| line.starts_with(word))))
        .map(|(part, _)| *part)
        .collect();
    let labelled = |line: &String| {
        line.starts_with('@') || PARTS.iter().any(|(_, words)| words.iter().any(|word| line.starts_with(word)))
    };
    if header.first().is_none_or(labelled) {
        missing.insert(0, "what it is for (first line)");
    }
    if !header.iter().any(|line| line.contains("bullmq")) {
        missing.push("BullMQ's counterpart, or that there is none");
    }
    missing.into_iter().map(|part| Problem::new(file, 1, format!("the header does not say {part}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "--- Adds jobs.\n---\n--- KEYS 1 base\n--- ARGV 1 life, ms\n--- Reply: ids\n--- Errors: none\n\
                         --- Writes: id\n--- Events: added\n--- Agrees with BullMQ's addStandardJob\n--- @include base\nreturn 1\n";

    fn problems(name: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(&format!("{SCRIPTS}{name}"), text)])).into_iter().map(|problem| problem.what).collect()
    }

    #[test]
    fn a_whole_header_is_fine() {
        assert_eq!(problems("add.lua", WHOLE), Vec::<String>::new());
    }

    #[test]
    fn every_line_of_the_contract_is_missed_when_it_is_gone() {
        for line in WHOLE.lines().filter(|line| line.len() > 4 && !line.contains("@include") && line.starts_with("--"))
        {
            let found = problems("add.lua", &WHOLE.replace(&format!("{line}\n"), ""));
            assert_eq!(found.len(), 1, "without {line:?}: {found:?}");
        }
    }

    #[test]
    fn a_script_that_only_reads_says_both_in_one() {
        let reads = WHOLE.replace("--- Writes: id\n--- Events: added\n", "--- Writes, events: none\n");
        assert_eq!(problems("add.lua", &reads), Vec::<String>::new());
    }

    #[test]
    fn what_stands_below_the_code_is_no_header() {
        assert_eq!(problems("add.lua", &format!("local x\n{WHOLE}")).len(), 8);
    }

    #[test]
    fn shared_transitions_have_no_contract_of_their_own() {
        assert_eq!(problems("lib/base.lua", "return 1\n"), Vec::<String>::new());
    }
}
