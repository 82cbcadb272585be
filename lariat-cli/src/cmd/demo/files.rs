//! Which files there are to hash.

use std::fs::{self, DirEntry};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Files that are taken at most.
pub(super) const MOST: usize = 2_000;

/// What a folder that holds nothing but a cache begins a file of this name with.
const TAG: &str = "CACHEDIR.TAG";
const SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// The files below a folder, in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<PathBuf>,
    /// There are more, which were not taken.
    pub(super) more: bool,
    pub(super) skipped: Skipped,
}

/// How much was passed over, and why.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Skipped {
    /// Files and folders whose name begins with a dot.
    pub(super) hidden: u64,
    /// Folders that are tagged as caches.
    pub(super) caches: u64,
    pub(super) links: u64,
    /// Neither file nor folder: sockets, devices, …
    pub(super) others: u64,
    /// Folders that could not be read.
    pub(super) unreadable: u64,
}

impl Skipped {
    /// In words; empty where nothing was.
    pub(super) fn words(&self) -> String {
        let counts = [
            (self.hidden, "hidden"),
            (self.caches, "tagged as cache"),
            (self.links, "symbolic links"),
            (self.others, "neither file nor folder"),
            (self.unreadable, "folders that cannot be read"),
        ];
        let said = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        said.collect::<Vec<_>>().join(", ")
    }
}

/// Looks through a folder and those below it. The error is that this folder cannot be read.
pub(super) fn below(folder: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    found.look(folder)?;
    Ok(found)
}

impl Found {
    fn look(&mut self, folder: &Path) -> io::Result<()> {
        let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            if self.more {
                break;
            }
            self.take(&entry);
        }
        Ok(())
    }

    fn take(&mut self, entry: &DirEntry) {
        let path = entry.path();
        let kind = entry.file_type();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            self.skipped.hidden += 1;
        } else if kind.as_ref().is_ok_and(fs::FileType::is_file) {
            if self.files.len() < MOST {
                self.files.push(path);
            } else {
                self.more = true;
            }
        } else if kind.as_ref().is_ok_and(fs::FileType::is_symlink) {
            self.skipped.links += 1;
        } else if !kind.is_ok_and(|kind| kind.is_dir()) {
            self.skipped.others += 1;
        } else if is_cache(&path) {
            self.skipped.caches += 1;
        } else if self.look(&path).is_err() {
            self.skipped.unreadable += 1;
        }
    }
}

fn is_cache(folder: &Path) -> bool {
    let mut begin = [0; SIGNATURE.len()];
    let tag = folder.join(TAG);
    // Something else of that name, a pipe say, must not be opened.
    tag.is_file() && fs::File::open(tag).and_then(|mut tag| tag.read_exact(&mut begin)).is_ok() && begin == SIGNATURE
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn with(files: &[&str]) -> TempDir {
        let dir = TempDir::new().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        dir
    }

    fn names(dir: &TempDir, found: &Found) -> Vec<String> {
        let below = |path: &PathBuf| path.strip_prefix(dir.path()).unwrap().display().to_string();
        found.files.iter().map(below).collect()
    }

    #[test]
    fn files_come_in_the_order_of_their_names_and_some_are_passed_over() {
        let dir = with(&["b", "a/z", "a/.hidden", ".git/config", "c/d/e", "target/x", "lookalike/CACHEDIR.TAG"]);
        fs::write(dir.path().join("target").join(TAG), [SIGNATURE, b"\n# cargo"].concat()).unwrap();
        symlink("b", dir.path().join("link")).unwrap();
        symlink(".", dir.path().join("loop")).unwrap();
        std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        let found = below(dir.path()).unwrap();
        assert_eq!(names(&dir, &found), ["a/z", "b", "c/d/e", "lookalike/CACHEDIR.TAG"]);
        let skipped = Skipped { hidden: 2, caches: 1, links: 2, others: 1, unreadable: 0 };
        assert_eq!((found.skipped, found.more), (skipped, false));
        assert_eq!(skipped.words(), "2 hidden, 1 tagged as cache, 2 symbolic links, 1 neither file nor folder");
    }

    #[test]
    fn the_first_two_thousand_count() {
        let all: Vec<String> = (0..=MOST).map(|n| format!("{}/{n:04}", n % 2)).collect();
        let dir = with(&all.iter().map(String::as_str).collect::<Vec<_>>());
        let found = below(dir.path()).unwrap();
        assert_eq!((found.files.len(), found.more), (MOST, true));
        assert_eq!(names(&dir, &found)[MOST - 1], "1/1997", "1001 files in the folder 0, and 999 in 1");
        fs::remove_file(dir.path().join("0/0000")).unwrap();
        let found = below(dir.path()).unwrap();
        assert_eq!((found.files.len(), found.more), (MOST, false));
    }

    #[test]
    fn no_files_are_no_error_and_no_folder_is() {
        let dir = with(&[]);
        assert!(below(dir.path()).unwrap().files.is_empty());
        assert!(below(&dir.path().join("gone")).is_err());
    }
}
