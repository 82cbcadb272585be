//! Just enough of Rust to tell code from comments, strings and tests, line by line.

use super::Tree;

/// One line of a file.
pub(super) struct Line<'a> {
    /// As it is written.
    pub(super) raw: &'a str,
    /// Without comments, and with the insides of strings taken out.
    pub(super) code: String,
    /// Whether it only exists in tests.
    pub(super) test: bool,
}

impl Line<'_> {
    pub(super) fn is_code(&self) -> bool {
        !self.code.trim().is_empty()
    }
}

/// A Rust file and its lines.
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) lines: Vec<Line<'a>>,
}

/// All Rust files of the tree. A file that its parent declares for tests only is tests from end to end, and so is
/// everything below it.
pub(super) fn sources(tree: &Tree) -> Vec<Source<'_>> {
    let mut sources: Vec<_> =
        tree.with_extension("rs").map(|(file, text)| Source { file, lines: lines(file, text) }).collect();
    let places: Vec<String> = sources.iter().flat_map(test_modules).collect();
    let is_test =
        |file: &str| places.iter().any(|place| file == format!("{place}.rs") || file.starts_with(&format!("{place}/")));
    for source in sources.iter_mut().filter(|source| is_test(source.file)) {
        source.lines.iter_mut().for_each(|line| line.test = true);
    }
    sources
}

/// The modules that a file declares behind `#[cfg(test)]`, as paths without an ending.
fn test_modules<'a>(source: &'a Source<'_>) -> impl Iterator<Item = String> + 'a {
    let whole = source.file.trim_end_matches(".rs");
    let place = match whole.rsplit_once('/') {
        Some((folder, "mod" | "lib" | "main")) => folder,
        _ => whole,
    };
    source.lines.iter().filter(|line| line.test).filter_map(move |line| {
        let (_, rest) = line.code.split_once("mod ")?;
        Some(format!("{place}/{}", rest.trim().strip_suffix(';')?))
    })
}

/// Whether all of a file is tests or benchmarks, by its place or by its first attribute.
fn is_test_file(path: &str, text: &str) -> bool {
    let place = path.split('/').any(|part| matches!(part, "tests" | "benches"));
    place || text.lines().any(|line| line.trim() == "#![cfg(test)]")
}

/// The lines of a file, in order.
fn lines<'a>(path: &str, text: &'a str) -> Vec<Line<'a>> {
    let all_test = is_test_file(path, text);
    let mut within = Within::Code;
    let mut lines: Vec<Line<'a>> = text
        .lines()
        .map(|raw| {
            let (code, after) = strip(raw, within);
            within = after;
            Line { raw, code, test: all_test }
        })
        .collect();
    if !all_test {
        mark_tests(&mut lines);
    }
    lines
}

/// What a line begins inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Code,
    /// Comments nest.
    Comment(usize),
    Text,
    /// A raw string that ends with this many hashes.
    Raw(usize),
}

fn strip(raw: &str, mut within: Within) -> (String, Within) {
    let mut code = String::new();
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        let mut step = c.len_utf8();
        match within {
            Within::Comment(depth) if rest.starts_with("*/") => {
                step = 2;
                within = if depth == 1 { Within::Code } else { Within::Comment(depth - 1) };
            }
            Within::Comment(depth) if rest.starts_with("/*") => {
                step = 2;
                within = Within::Comment(depth + 1);
            }
            Within::Text if c == '\\' => step += rest[1..].chars().next().map_or(0, char::len_utf8),
            Within::Text if c == '"' => {
                code.push('"');
                within = Within::Code;
            }
            Within::Raw(hashes) if c == '"' && rest[1..].starts_with(&"#".repeat(hashes)) => {
                step += hashes;
                code.push('"');
                within = Within::Code;
            }
            Within::Comment(_) | Within::Text | Within::Raw(_) => {}
            Within::Code if rest.starts_with("//") => break,
            Within::Code if rest.starts_with("/*") => {
                step = 2;
                within = Within::Comment(1);
            }
            Within::Code => {
                let begun = begins_string(rest, &code).unwrap_or((step, Within::Code));
                step = begun.0;
                within = begun.1;
                code.push_str(&rest[..step]);
            }
        }
        rest = &rest[step..];
    }
    (code, within)
}

/// If a string or character begins here: how long its beginning is, and what it is. `code` is what stands before it.
fn begins_string(rest: &str, code: &str) -> Option<(usize, Within)> {
    if rest.starts_with('"') {
        return Some((1, Within::Text));
    }
    let in_name = code.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
    // `r"`, `r#"`; the b of `br"` stands before it as a name of one letter.
    if rest.starts_with('r') && (!in_name || code.ends_with('b')) {
        let hashes = rest[1..].chars().take_while(|&c| c == '#').count();
        if rest[1 + hashes..].starts_with('"') {
            return Some((2 + hashes, Within::Raw(hashes)));
        }
    }
    // A character, so that '"' begins no string; a lifetime has no second quote there.
    if let Some(inside) = rest.strip_prefix('\'') {
        let c = inside.chars().next()?;
        let body = if c == '\\' { 2 } else { c.len_utf8() };
        if inside.get(body..)?.starts_with('\'') {
            return Some((body + 2, Within::Code));
        }
    }
    None
}

/// Marks what follows `#[cfg(test)]`, up to the end of its braces or its semicolon.
fn mark_tests(lines: &mut [Line<'_>]) {
    let mut at = 0;
    while at < lines.len() {
        let code = lines[at].code.trim();
        if !(code.starts_with("#[cfg(") && has_word(code, "test") && !code.contains("not(test")) {
            at += 1;
            continue;
        }
        let mut depth = 0_i32;
        loop {
            let Some(line) = lines.get_mut(at) else { return };
            line.test = true;
            let opened = line.code.contains('{');
            let braces = |c| i32::try_from(line.code.matches(c).count()).unwrap_or(0);
            depth += braces('{') - braces('}');
            at += 1;
            if depth == 0 && (opened || line.code.contains('}') || line.code.trim_end().ends_with(';')) {
                break;
            }
        }
    }
}

/// Whether `word` stands in `text` on its own.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    let of_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(of_name)
            && !text[at + word.len()..].chars().next().is_some_and(of_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Vec<String> {
        lines("a.rs", text).into_iter().map(|line| line.code.trim().to_owned()).collect()
    }

    #[test]
    fn comments_and_the_insides_of_strings_are_no_code() {
        assert_eq!(code("let a = 1; // b\n/// doc\n/* x\ny */ z();"), ["let a = 1;", "", "", "z();"]);
        assert_eq!(code(r#"f("use crate::worker; // no \" {");"#), [r#"f("");"#]);
        assert_eq!(code("f(r#\"a \" {\n }\"#); g();"), ["f(r#\"", "\"); g();"]);
        assert_eq!(code("f(br\"{\", '\"', '\\'', 'a'); h::<'x>()"), ["f(br\"\", '\"', '\\'', 'a'); h::<'x>()"]);
        assert_eq!(code("/* a /* b */ c */ d"), ["d"]);
    }

    #[test]
    fn tests_end_where_their_braces_end() {
        let text = "a();\n#[cfg(test)]\nmod tests {\n    b();\n}\nc();\n#[cfg(test)]\nmod other;\nd();\n#[cfg(not(test))]\ne();";
        let marks: Vec<bool> = lines("a.rs", text).iter().map(|line| line.test).collect();
        assert_eq!(marks, [false, true, true, true, true, false, true, true, false, false, false]);
    }

    #[test]
    fn some_files_are_tests_from_end_to_end() {
        assert!(lines("lariat/tests/a.rs", "a();")[0].test);
        assert!(lines("a.rs", "#![cfg(test)]\na();")[1].test);
        assert!(!lines("lariat/src/contests.rs", "a();")[0].test);
    }

    #[test]
    fn what_is_declared_for_tests_is_tests_with_all_below_it() {
        let tree = Tree::of(&[
            ("x/src/store/mod.rs", "#[cfg(test)]\nmod laws;\nmod real;\n"),
            ("x/src/store/laws/mod.rs", "mod add;\na();\n"),
            ("x/src/store/laws/add.rs", "a();\n"),
            ("x/src/store/real.rs", "#[cfg(test)]\npub(crate) mod checks;\na();\n"),
            ("x/src/store/real/checks.rs", "a();\n"),
            ("x/src/store/real/other.rs", "a();\n"),
        ]);
        let tests: Vec<&str> = sources(&tree)
            .iter()
            .filter(|source| source.lines.last().unwrap().test)
            .map(|source| source.file)
            .collect();
        assert_eq!(tests, ["x/src/store/laws/add.rs", "x/src/store/laws/mod.rs", "x/src/store/real/checks.rs"]);
    }
}
