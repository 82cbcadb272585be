//! A disk as a power cut may leave it. What was written before a sync is there; of all that came later each write is there,
//! missing, or torn between two sectors, and each name that was made or removed since the folder's sync is there or not.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use crate::trace::{Event, FileId, Synced};

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// What has been done so far, and what of it a sync has made sure of.
#[derive(Default)]
pub(crate) struct Disk {
    files: Vec<File>,
    names: BTreeMap<PathBuf, FileId>,
    /// Names made and removed that no sync has made sure of, and when.
    namings: Vec<(usize, Naming)>,
    /// Syncs that have begun: what had been done by then.
    syncs: HashMap<usize, usize>,
    done: usize,
}

#[derive(Default)]
struct File {
    synced: Vec<u8>,
    later: Vec<(usize, Change)>,
}

enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

enum Naming {
    Made(PathBuf, FileId),
    Removed(PathBuf),
}

impl Disk {
    /// Goes on by one event.
    pub(crate) fn see(&mut self, event: &Event) {
        self.done += 1;
        match event {
            Event::Made { file, path } => {
                assert_eq!(*file, self.files.len());
                self.files.push(File::default());
                self.namings.push((self.done, Naming::Made(path.clone(), *file)));
            }
            Event::Removed { path } => self.namings.push((self.done, Naming::Removed(path.clone()))),
            Event::Written { file, at, bytes } => {
                let write = Change::Write { at: *at, bytes: bytes.clone() };
                self.files[*file].later.push((self.done, write));
            }
            Event::Truncated { file, length } => self.files[*file].later.push((self.done, Change::Truncate(*length))),
            Event::SyncBegan { call, .. } => drop(self.syncs.insert(*call, self.done)),
            Event::SyncEnded { what, call } => {
                let until = self.syncs.remove(call).unwrap();
                match what {
                    Synced::File(file) => self.files[*file].sync(until),
                    Synced::Folder => self.sync_names(until),
                }
            }
            Event::Told(_) => {}
        }
    }

    fn sync_names(&mut self, until: usize) {
        let covered = self.namings.partition_point(|(when, _)| *when <= until);
        for (_, naming) in self.namings.drain(..covered) {
            naming.carry_out(&mut self.names);
        }
    }

    /// Writes into a folder what the power cut has left.
    pub(crate) fn after_a_cut(&self, fate: &mut Fate, folder: &Path) {
        let mut names = self.names.clone();
        for (_, naming) in &self.namings {
            if fate.lands() {
                naming.carry_out(&mut names);
            }
        }
        for (path, file) in names {
            let left = self.files[file].after_a_cut(fate);
            fs::write(folder.join(path.file_name().unwrap()), left).unwrap();
        }
    }
}

impl Naming {
    fn carry_out(&self, names: &mut BTreeMap<PathBuf, FileId>) {
        match self {
            Naming::Made(path, file) => drop(names.insert(path.clone(), *file)),
            Naming::Removed(path) => drop(names.remove(path)),
        }
    }
}

impl File {
    fn sync(&mut self, until: usize) {
        let covered = self.later.partition_point(|(when, _)| *when <= until);
        for (_, change) in self.later.drain(..covered) {
            match change {
                Change::Write { at, bytes } => put(&mut self.synced, at, &bytes),
                Change::Truncate(length) => self.synced.resize(length, 0),
            }
        }
    }

    fn after_a_cut(&self, fate: &mut Fate) -> Vec<u8> {
        let mut left = self.synced.clone();
        for (_, change) in &self.later {
            match change {
                Change::Write { at, bytes } => {
                    let torn = fate.tears();
                    let mut lands = fate.lands();
                    for (at, sector) in sectors(*at, bytes) {
                        if torn {
                            lands = fate.lands();
                        }
                        if lands {
                            put(&mut left, at, sector);
                        } else if at + sector.len() > left.len() && fate.grows() {
                            // The file's length was written before what is in it.
                            put(&mut left, at, &fate.junk(sector.len()));
                        }
                    }
                }
                Change::Truncate(length) if fate.lands() => left.resize(*length, 0),
                Change::Truncate(_) => {}
            }
        }
        left
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}

/// The parts of a write that lie in one sector each, and where.
fn sectors(at: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = at;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (sector, behind) = rest.split_at_checked(SECTOR - at % SECTOR).unwrap_or((rest, &[]));
        let from = at;
        (at, rest) = (at + sector.len(), behind);
        (!sector.is_empty()).then_some((from, sector))
    })
}

/// What becomes of that which was not synced.
pub(crate) struct Fate {
    rng: fastrand::Rng,
    /// How likely it is that something is there.
    lands: f64,
    /// That a write is torn, and each of its sectors there by itself.
    tears: f64,
    /// That a file is as long as it would be with a write that is missing.
    grows: f64,
}

impl Fate {
    /// Nothing of it is there: the worst, where nothing was promised.
    pub(crate) fn nothing() -> Fate {
        Fate { rng: fastrand::Rng::with_seed(0), lands: 0.0, tears: 0.0, grows: 0.0 }
    }

    pub(crate) fn by_chance(mut rng: fastrand::Rng) -> Fate {
        let mut one_of = |chances: &[f64]| *rng.choice(chances).unwrap();
        let (lands, tears, grows) =
            (one_of(&[0.0, 0.2, 0.5, 0.9, 0.99, 1.0]), one_of(&[0.0, 0.1, 1.0]), one_of(&[0.0, 0.5]));
        Fate { rng, lands, tears, grows }
    }

    fn happens(&mut self, chance: f64) -> bool {
        self.rng.f64() < chance
    }

    fn lands(&mut self) -> bool {
        self.happens(self.lands)
    }

    fn tears(&mut self) -> bool {
        self.happens(self.tears)
    }

    fn grows(&mut self) -> bool {
        self.happens(self.grows)
    }

    /// What was on that place of the disk before: nothing, or something of another file's.
    fn junk(&mut self, length: usize) -> Vec<u8> {
        if self.rng.bool() { vec![0; length] } else { (0..length).map(|_| self.rng.u8(..)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(disk: &Disk, fate: &mut Fate) -> BTreeMap<String, Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        disk.after_a_cut(fate, folder.path());
        let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
        files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
    }

    fn write(at: usize, bytes: &[u8]) -> Event {
        Event::Written { file: 0, at, bytes: bytes.into() }
    }

    fn sync(disk: &mut Disk, what: Synced) {
        disk.see(&Event::SyncBegan { what, call: 1 });
        disk.see(&Event::SyncEnded { what, call: 1 });
    }

    #[test]
    fn what_was_synced_is_there_and_a_write_that_came_while_it_was_is_not() {
        let mut disk = Disk::default();
        disk.see(&Event::Made { file: 0, path: "/f/a".into() });
        disk.see(&write(0, b"abc"));
        sync(&mut disk, Synced::File(0));
        assert!(left(&disk, &mut Fate::nothing()).is_empty(), "its name is not");
        sync(&mut disk, Synced::Folder);
        disk.see(&write(1, b"x"));
        disk.see(&Event::SyncBegan { what: Synced::File(0), call: 2 });
        disk.see(&write(2, b"y"));
        assert_eq!(left(&disk, &mut Fate::nothing())["a"], b"abc");
        disk.see(&Event::SyncEnded { what: Synced::File(0), call: 2 });
        assert_eq!(left(&disk, &mut Fate::nothing())["a"], b"axc");
        disk.see(&Event::Removed { path: "/f/a".into() });
        assert_eq!(left(&disk, &mut Fate::nothing()).len(), 1, "nor is its removal");
        sync(&mut disk, Synced::Folder);
        assert!(left(&disk, &mut Fate::nothing()).is_empty());
    }

    #[test]
    fn a_torn_write_has_whole_sectors() {
        let mut disk = Disk::default();
        disk.see(&Event::Made { file: 0, path: "/f/a".into() });
        disk.see(&write(0, &[1; 1300]));
        sync(&mut disk, Synced::File(0));
        sync(&mut disk, Synced::Folder);
        disk.see(&write(100, &[2; 1100]));
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut fate = Fate { lands: 0.5, tears: 1.0, rng: fastrand::Rng::with_seed(seed), ..Fate::nothing() };
            let left = &left(&disk, &mut fate)["a"];
            let of = |range: std::ops::Range<usize>| {
                assert!(left[range.clone()].iter().all(|byte| *byte == left[range.start]));
                left[range.start]
            };
            assert_eq!((of(0..100), of(1200..1300)), (1, 1));
            seen.insert((of(100..512), of(512..1024), of(1024..1200)));
        }
        assert_eq!(seen.len(), 8, "all that can be");
    }
}
