//! Links of our pages that point into the tree must point at something.

use super::{Problem, Tree, extension_of};

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (file, text) in tree.with_extension("md") {
        for (line, target) in links(text) {
            problems.extend(
                broken(tree, file, &target).map(|why| Problem::new(file, line, format!("the link to {target} {why}"))),
            );
        }
    }
    problems
}

fn broken(tree: &Tree, file: &str, target: &str) -> Option<&'static str> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    if target.starts_with('/') {
        return Some("is absolute: nobody else has that path");
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let Some(page) = (if path.is_empty() { Some(file.to_owned()) } else { resolve(file, path) }) else {
        return Some("leads out of the project");
    };
    if !tree.has(&page) {
        return Some("leads nowhere");
    }
    let headings = tree.text(&page).filter(|_| extension_of(&page) == "md" && !anchor.is_empty())?;
    let has_heading = headings.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == anchor);
    (!has_heading).then_some("names no heading of that page")
}

/// The path from the root of the tree; `None` if it climbs out.
fn resolve(file: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// How pages name their headings.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The targets of `[text](target)` with their lines; code is not looked at.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        // What stands between backquotes is code, unless the backquotes are inside of the link's text.
        let prose: String = line.split('`').step_by(2).collect();
        for part in prose.split("](").skip(1) {
            let target = part.split([')', ' ']).next().unwrap_or("");
            found.push((at + 1, target.trim_matches(['<', '>']).to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let tree = Tree::of(&[("docs/page.md", text), ("docs/other.md", "# A `b` heading, twice\n"), ("src/a.rs", "")]);
        check(&tree).into_iter().map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn links_that_lead_somewhere_are_fine() {
        let text = "# Top\n[a](other.md) [b](../src/a.rs) [c](../src) [d](#top) [e](https://example.com/x) [`f`](./other.md)\n\
                    [g](other.md#a-b-heading-twice \"title\")\n";
        assert_eq!(problems(text), Vec::<String>::new());
    }

    #[test]
    fn links_that_do_not_are_told() {
        for text in
            ["[a](gone.md)", "[a](../../x)", "[a](/src/a.rs)", "[a](#none)", "[a](other.md#none)", "x [`a`](gone.rs)"]
        {
            assert_eq!(problems(&format!("# Top\n{text}\n")).len(), 1, "{text}");
        }
    }

    #[test]
    fn code_holds_no_links() {
        assert_eq!(problems("```\n[a](gone.md)\n```\nsee `x[a](gone)`\n"), Vec::<String>::new());
    }
}
