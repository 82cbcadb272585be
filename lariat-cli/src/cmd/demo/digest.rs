//! What a file's digest is, read piece by piece.

use std::fmt::Write as _;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

const BUFFER: usize = 64 * 1024;

/// A file that is being hashed.
#[derive(Debug)]
pub(super) struct Hashing {
    file: File,
    hasher: Sha256,
    buffer: Vec<u8>,
}

impl Hashing {
    /// Opens what was a file a moment ago. What has taken its place must not be followed or waited for.
    pub(super) fn begin(path: &Path) -> io::Result<Hashing> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no longer a file"));
        }
        Ok(Hashing { file, hasher: Sha256::new(), buffer: vec![0; BUFFER] })
    }

    /// Reads on, `most` bytes at most; how many there were, 0 at the end.
    pub(super) fn piece(&mut self, most: u64) -> io::Result<u64> {
        let mut read = 0;
        while read < most {
            let room = usize::try_from(most - read).unwrap_or(BUFFER).min(BUFFER);
            match self.file.read(&mut self.buffer[..room]) {
                Ok(0) => break,
                Ok(length) => {
                    self.hasher.update(&self.buffer[..length]);
                    read += length as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(read)
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// The digest of what was read, in hexadecimal.
    pub(super) fn end(self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.hasher.finalize() {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// A file as it was at one moment, as far as that shows without reading it: another mark, another content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark([i64; 4], [u64; 2]);

impl Mark {
    /// None where there is nothing.
    pub(super) fn of(path: &Path) -> Option<Mark> {
        fs::symlink_metadata(path).ok().as_ref().map(Mark::from)
    }
}

impl From<&Metadata> for Mark {
    fn from(file: &Metadata) -> Mark {
        Mark([file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()], [file.len(), file.ino()])
    }
}

/// What a direct pass found of one file.
#[derive(Debug, Clone)]
pub(super) struct Direct {
    /// Its digest, or why it cannot be read.
    pub(super) digest: Result<String, String>,
    /// How it was just before.
    pub(super) mark: Option<Mark>,
}

/// What a direct pass goes by and tells, shared with those who wait for it.
#[derive(Debug, Default)]
pub(super) struct Pass {
    pub(super) bytes: AtomicU64,
    pub(super) files: AtomicU64,
    pub(super) stop: AtomicBool,
}

impl Pass {
    /// Hashes the files one after the other, with no queue about. It ends early when it is told to stop.
    pub(super) fn over<P: AsRef<Path>>(&self, files: &[P]) -> Vec<Direct> {
        let going = files.iter().take_while(|_| !self.stop.load(Ordering::Relaxed));
        let hashed = going.map(|path| {
            let mark = Mark::of(path.as_ref());
            let digest = self.digest(path.as_ref()).map_err(|e| e.to_string());
            self.files.fetch_add(1, Ordering::Relaxed);
            Direct { digest, mark }
        });
        hashed.collect()
    }

    fn digest(&self, path: &Path) -> io::Result<String> {
        const STRIDE: u64 = 16 << 20;
        let mut hashing = Hashing::begin(path)?;
        while !self.stop.load(Ordering::Relaxed) {
            let read = hashing.piece(STRIDE)?;
            self.bytes.fetch_add(read, Ordering::Relaxed);
            if read < STRIDE {
                break;
            }
        }
        Ok(hashing.end())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn digests_are_those_of_sha256sum_however_they_are_read() {
        let dir = tempfile::TempDir::new().unwrap();
        for (name, content) in [
            ("empty", vec![]),
            ("abc", b"abc".to_vec()),
            ("large", (0..300_000_u32).map(|n| (n % 251) as u8).collect()),
        ] {
            let path = dir.path().join(name);
            fs::write(&path, &content).unwrap();
            let output = Command::new("sha256sum").arg(&path).output().unwrap();
            let expected = String::from_utf8(output.stdout).unwrap()[..64].to_owned();
            let pass = Pass::default();
            assert_eq!(pass.over(&[&path])[0].digest, Ok(expected.clone()), "{name}");
            assert_eq!(pass.bytes.into_inner(), content.len() as u64);
            let mut hashing = Hashing::begin(&path).unwrap();
            while hashing.piece(70_001).unwrap() > 0 {}
            assert_eq!(hashing.end(), expected, "{name}, in pieces");
        }
    }

    #[test]
    fn what_took_a_files_place_is_not_waited_for() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = |name| dir.path().join(name);
        assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        std::os::unix::fs::symlink("/etc/passwd", path("link")).unwrap();
        for name in ["pipe", "link", "gone", "."] {
            assert!(Hashing::begin(&path(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn a_changed_file_has_another_mark() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("file");
        assert_eq!(Mark::of(&path), None);
        fs::write(&path, "one").unwrap();
        let before = Mark::of(&path);
        assert_eq!(Mark::of(&path), before);
        fs::write(&path, "three").unwrap();
        assert_ne!(Mark::of(&path), before);
    }
}
