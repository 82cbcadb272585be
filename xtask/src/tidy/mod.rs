//! The habits of the house that a machine can check. Each check is a function from the tree to a list of problems, so
//! that its unit tests can hand it a tree of three lines and see it go red.

mod layers;
mod links;
mod lua;
mod names;
mod rust;
mod sizes;
mod sleeps;
mod stores;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

/// Something that is not as it should be, in the way compilers say it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    file: String,
    /// Counted from 1; 0 is the file as a whole.
    line: usize,
    what: String,
}

impl Problem {
    fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.file, self.what)
        } else {
            write!(f, "{}:{}: {}", self.file, self.line, self.what)
        }
    }
}

/// The files of the project that are text: path with slashes, and content.
#[derive(Default)]
pub(crate) struct Tree(BTreeMap<String, String>);

impl Tree {
    /// Everything below `root` that we wrote.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let mut tree = Self::default();
        tree.walk(root, "")?;
        Ok(tree)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn walk(&mut self, folder: &Path, name: &str) -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let file_name = entry.file_name();
            let Some(file_name) = file_name.to_str() else { continue };
            if matches!(file_name, ".git" | "target" | "node_modules") {
                continue;
            }
            let path = if name.is_empty() { file_name.to_owned() } else { format!("{name}/{file_name}") };
            if entry.file_type()?.is_dir() {
                self.walk(&entry.path(), &path)?;
            } else if let Ok(text) = std::fs::read_to_string(entry.path()) {
                self.0.insert(path, text);
            }
        }
        Ok(())
    }

    fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    fn with_extension(&self, extension: &'static str) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(move |(path, _)| extension_of(path) == extension)
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Whether there is a file or a folder of that name.
    fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty() || self.0.contains_key(path) || self.0.keys().any(|file| file.starts_with(&folder))
    }

    #[cfg(test)]
    fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }
}

/// `mod.rs` -> `rs`; empty if there is none.
fn extension_of(path: &str) -> &str {
    path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, extension)| extension)
}

/// All checks, their problems in order of files.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let checks = [layers::check, sizes::check, lua::check, names::check, links::check, sleeps::check, stores::check];
    let mut problems: Vec<Problem> = checks.iter().flat_map(|check| check(tree)).collect();
    problems.sort();
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_called() {
        let tree = Tree::of(&[
            ("lariat/src/store/mod.rs", "use crate::worker::Worker;\n"),
            ("lariat/src/queue/mod.rs", &"let x = 1;\n".repeat(401)),
            ("lariat/src/store/redis/lua/add.lua", "return 1\n"),
            ("lariat/src/util.rs", ""),
            ("README.md", "[gone](gone.md)\n"),
            ("lariat/tests/it.rs", "sleep(1);\n"),
            ("lariat/tests/behaviour/it.rs", "#[test]\nfn it() {}\n"),
        ]);
        let files: Vec<_> = check(&tree).into_iter().map(|problem| problem.file).collect();
        for (file, _) in tree.files() {
            assert!(files.iter().any(|found| found == file), "nothing found in {file}");
        }
    }

    #[test]
    fn the_real_tree_is_found() {
        let tree = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(tree.has("src/tidy") && tree.has("src/tidy/mod.rs") && !tree.has("target"));
    }

    #[test]
    fn problems_read_like_a_compilers() {
        assert_eq!(Problem::new("a.rs", 3, "no").to_string(), "a.rs:3: no");
        assert_eq!(Problem::new("a.rs", 0, "no").to_string(), "a.rs: no");
    }
}
