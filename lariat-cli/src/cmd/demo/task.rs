//! What travels in the demo's jobs: payload and result.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lariat::NewJob;
use serde::{Deserialize, Serialize};

/// The names of the jobs: those that read on as fast as they can, and those that take their time.
pub(super) const QUICK: &str = "hash";
pub(super) const LONG: &str = "hash-slowly";

/// The payload: which file, and how long it is to take.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Task {
    file: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_ms: Option<u64>,
}

/// A file's path: as text, or as the bytes that it is made of where they are no text.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Bytes(Vec<u8>),
}

impl Task {
    pub(super) fn new(file: &Path, hold: Option<Duration>) -> Task {
        let file = match file.to_str() {
            Some(text) => Name::Text(text.to_owned()),
            None => Name::Bytes(file.as_os_str().as_bytes().to_vec()),
        };
        Task { file, hold_ms: hold.map(|hold| u64::try_from(hold.as_millis()).unwrap_or(u64::MAX)) }
    }

    pub(super) fn job(&self) -> NewJob {
        NewJob::new(if self.hold_ms.is_some() { LONG } else { QUICK }, self)
    }

    pub(super) fn path(&self) -> PathBuf {
        match &self.file {
            Name::Text(text) => OsStr::new(text).into(),
            Name::Bytes(bytes) => OsString::from_vec(bytes.clone()).into(),
        }
    }

    pub(super) fn hold(&self) -> Option<Duration> {
        self.hold_ms.map(Duration::from_millis)
    }
}

/// The result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hashed {
    pub(super) sha256: String,
    /// The worker.
    pub(super) by: String,
    /// How long it took, by the worker's own clock.
    pub(super) took_ms: u64,
}

/// Which of so many files take their time: up to a third of them and `most`, spread evenly.
pub(super) fn long_ones(files: usize, most: usize) -> impl Fn(usize) -> bool {
    let long = files.div_ceil(3).min(most);
    move |place| place * long / files.max(1) != (place + 1) * long / files.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_survives_its_journey_whatever_the_files_name() {
        let odd = OsString::from_vec(b"a/\xff\n".to_vec());
        for (file, hold) in [(Path::new("a/b ä"), None), (Path::new(&odd), Some(Duration::from_secs(3)))] {
            let task = Task::new(file, hold);
            let back: Task = serde_json::from_str(&serde_json::to_string(&task).unwrap()).unwrap();
            assert_eq!((back.path().as_path(), back.hold()), (file, hold));
            assert_eq!(back, task);
        }
    }

    #[test]
    fn long_ones_are_spread() {
        let chosen = |files, most| (0..files).filter(|place| long_ones(files, most)(*place)).collect::<Vec<_>>();
        assert_eq!(chosen(1, 60), [0]);
        assert_eq!(chosen(7, 60), [2, 4, 6]);
        assert_eq!(chosen(100, 4), [24, 49, 74, 99]);
        assert_eq!(chosen(2000, 60).len(), 60);
        assert_eq!(chosen(0, 60), [0; 0]);
    }
}
