//! Power cuts, as far as the system calls tell: what is answered was synced before.
//!
//! Adds are looked at as calls: the sync comes between the write and the answer. Of everything else that is answered it is
//! looked at what the disk holds at that moment, should nothing be there of what was not synced.

use std::path::Path;

use interop::wait;
use rusqlite::Connection;

use crate::child::{By, Errand, Orders, Told, history};
use crate::disk::{Disk, Fate};
use crate::lab::Lab;
use crate::trace::{self, Event, Synced};

const ADDS: u64 = 40;

/// What a process did until this much was told. None, with a line that says why, where nothing can be traced.
fn trace(lab: &Lab, orders: &Orders, done: impl Fn(&[Told]) -> bool) -> Option<Vec<Event>> {
    if !trace::possible() {
        return None;
    }
    let path = lab.folder.path().join("trace");
    let process = trace::start(lab, orders, &path);
    wait::until("all is done", || done(&history(&orders.history)));
    trace::end(process);
    Some(trace::read(lab, &[path]))
}

/// One add after the other.
fn adds(lab: &Lab, options: &str) -> Option<Vec<Event>> {
    let orders = Orders { url: format!("{}{options}", lab.url()), adders: 1, adds: ADDS, ..lab.orders() };
    let events = trace(lab, &orders, |told| told.len() as u64 == ADDS)?;
    let told = history(&orders.history);
    assert!(told.iter().all(|told| matches!(told, Told::Added { .. })), "{told:?}");
    Some(events)
}

/// How many answers were told while something of the WAL was not synced, and how many after a sync.
fn judge(events: &[Event], lab: &Lab) -> (u64, u64) {
    let (mut wal, mut unsynced, mut synced) = (None, 0, 0);
    // Written since the last answer; not synced since it was written; written since the last sync began.
    let (mut written, mut dirty, mut behind) = (false, false, false);
    for event in events {
        match event {
            Event::Made { file, path } if *path == lab.wal() => wal = Some(*file),
            Event::Written { file, .. } if Some(*file) == wal => (written, dirty, behind) = (true, true, true),
            Event::SyncBegan { what: Synced::File(file), .. } if Some(*file) == wal => behind = false,
            Event::SyncEnded { what: Synced::File(file), .. } if Some(*file) == wal => dirty = behind,
            Event::Told(_) => {
                assert!(std::mem::take(&mut written), "an answer before anything was written");
                *(if dirty { &mut unsynced } else { &mut synced }) += 1;
            }
            _ => {}
        }
    }
    (unsynced, synced)
}

#[test]
fn what_is_answered_is_on_the_disk() {
    let lab = Lab::new();
    let Some(events) = adds(&lab, "") else { return };
    assert_eq!(judge(&events, &lab), (0, ADDS));
    // The names of the file and its WAL have to be on the disk, too.
    let position = |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted).expect("it is in the trace");
    let folder = position(&|event| matches!(event, Event::SyncEnded { what: Synced::Folder, .. }));
    let first = position(&|event| matches!(event, Event::Told(_)));
    assert!(folder < first, "the folder is synced before the first answer");
}

/// That the test above can fail.
#[test]
fn with_normal_the_trace_shows_that_nothing_is_synced() {
    let lab = Lab::new();
    let Some(events) = adds(&lab, "?durability=normal") else { return };
    assert_eq!(judge(&events, &lab), (ADDS, 0));
}

/// Something that was answered.
#[derive(Debug)]
#[expect(dead_code, reason = "what it was is shown")]
struct Answered {
    what: String,
    by: By,
    /// Whether the disk surely held it then, and whether it did so before.
    holds: bool,
    held: bool,
}

/// One of each thing that is answered. The caller's own connections commit with this `synchronous`.
fn tour(options: &str, caller: &str) -> Option<Vec<Answered>> {
    let lab = Lab::new();
    let url = format!("{}{options}", lab.url());
    let orders = Orders { url, errand: Errand::Tour, caller: caller.to_owned(), ..lab.orders() };
    let last = |told: &[Told]| matches!(told.last(), Some(Told::Holds { what, .. }) if what == LAST);
    let events = trace(&lab, &orders, last)?;
    let (mut disk, mut answered) = (Disk::default(), Vec::new());
    let mut before = lab.folder.path().join("none");
    for (n, event) in events.iter().enumerate() {
        disk.see(event);
        match event {
            Event::Told(Told::Holds { what, sql, by }) => {
                let folder = lab.folder.path().join(n.to_string());
                std::fs::create_dir(&folder).unwrap();
                disk.after_a_cut(&mut Fate::nothing(), &folder);
                let (holds, held) = (holds(&folder, sql), holds(&before, sql));
                answered.push(Answered { what: what.clone(), by: *by, holds, held });
                before = folder;
            }
            Event::Told(told) => panic!("{told:?}"),
            _ => {}
        }
    }
    Some(answered)
}

/// What the tour says at its end.
pub(crate) const LAST: &str = "the end";

fn holds(folder: &Path, sql: &str) -> bool {
    let path = folder.join("jobs.db");
    // Where nothing was synced, there is no file, or no table.
    if !path.exists() {
        return false;
    }
    match Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)) {
        Ok(holds) => holds,
        Err(error) if error.to_string().starts_with("no such table") => false,
        Err(error) => panic!("{sql}: {error}"),
    }
}

#[test]
fn whatever_is_answered_is_on_the_disk() {
    let Some(answered) = tour("", "full") else { return };
    for answer in &answered {
        assert!(answer.holds, "{answer:?}");
    }
    let new = |by| answered.iter().filter(|answer| answer.by == by && !answer.held).count();
    // What the worker does meanwhile may be there already when it is told.
    assert!(new(By::Store) >= 36 && new(By::Caller) == 3, "{answered:#?}");
}

/// A commit is as durable as the connection that makes it is set to be: of those that are not synced nothing is claimed.
fn assert_only_synced_by(answered: &[Answered], synced: By) {
    // What an older state of the file said as well says nothing.
    for answer in answered.iter().filter(|answer| !answer.held) {
        assert_eq!(answer.holds, answer.by == synced, "{answer:?}");
    }
}

#[test]
fn with_normal_only_the_commits_of_a_caller_who_syncs_are_on_the_disk() {
    let Some(answered) = tour("?durability=normal", "full") else { return };
    assert_only_synced_by(&answered, By::Caller);
}

#[test]
fn the_commits_of_a_caller_who_does_not_sync_are_not() {
    let Some(answered) = tour("", "normal") else { return };
    assert_only_synced_by(&answered, By::Store);
}
