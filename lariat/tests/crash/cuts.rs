//! Power cuts, simulated: two processes are traced with every byte that they write, and cut off at moments left to chance.
//! What the disk could hold then is made anew, and opened: all that was answered by then is there.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use interop::wait;
use lariat::{JobState, Queue, Store};
use rusqlite::Connection;

use crate::child::{Errand, Orders, Told, history};
use crate::copy::work_off;
use crate::disk::{Disk, Fate};
use crate::lab::{Lab, QUEUE, assert_whole, connect, numbers, of_job, times, url};
use crate::trace::{self, Event};
use crate::ways::completed_with_receipt;

const CUTS: usize = 300;
/// Of so many one is worked to the end.
const WORKED: usize = 30;

/// What two processes do, one after the other. The first closes the file, the second finds it so, and is ended, mostly before
/// it can do the same. None, with a line that says why, where nothing can be traced.
fn two_processes(lab: &Lab, options: &str, caller: &str) -> Option<Vec<Event>> {
    if !trace::possible() {
        return None;
    }
    let url = format!("{}{options}", lab.url());
    let (adders, adds, concurrency) = (3, 16, 6);
    let orders =
        Orders { url, adders, adds, concurrency, errand: Errand::AllWays, caller: caller.to_owned(), ..lab.orders() };
    let jobs = orders.jobs();
    let traces = ["first", "second"].map(|name| lab.folder.path().join(name));
    for (round, path) in (1..).zip(&traces) {
        let process = trace::start(lab, &orders, path);
        wait::until("all jobs have ended", || ended(&history(&orders.history)) == jobs * round);
        if round == 1 {
            wait::until("the file is closed", || !lab.wal().exists());
        }
        trace::end(process);
    }
    let events = trace::read(lab, &traces);
    assert_eventful(&events, lab);
    Some(events)
}

/// How many jobs have come to their end. None of them goes astray.
fn ended(told: &[Told]) -> u64 {
    let ends = |told: &Told| match told {
        Told::Completed { .. } | Told::Failed { .. } => 1,
        Told::Added { .. } | Told::Retried { .. } | Told::Committed { .. } => 0,
        _ => panic!("nobody was expected to tell: {told:?}"),
    };
    told.iter().map(ends).sum()
}

/// The WAL goes back into the file time and again: it is begun anew, cut off, and removed.
fn assert_eventful(events: &[Event], lab: &Lab) {
    let files: Vec<&PathBuf> = events
        .iter()
        .filter_map(|event| match event {
            Event::Made { path, .. } => Some(path),
            _ => None,
        })
        .collect();
    let count = |wanted: &dyn Fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    let removed = count(&|event| matches!(event, Event::Removed { path } if *path == lab.wal()));
    let truncated = count(&|event| matches!(event, Event::Truncated { file, .. } if *files[*file] == lab.wal()));
    let begun = count(&|event| matches!(event, Event::Written { file, at: 0, .. } if *files[*file] == lab.wal()));
    let pages = count(&|event| matches!(event, Event::Written { file, .. } if *files[*file] == lab.path()));
    eprintln!("{} events, {begun} WALs begun, {truncated} truncated, {removed} removed, {pages} pages", events.len());
    for (what, count, least) in [
        ("the WAL is removed", removed, 1),
        ("the WAL is truncated", truncated, 2),
        ("a WAL is begun", begun, 4),
        ("a page of the file is written", pages, 50),
    ] {
        assert!(count >= least, "{what}: {count} times, which is less than {least}");
    }
}

/// What a power cut has left, and what had been answered by then.
struct Cut {
    folder: PathBuf,
    told: Vec<Told>,
}

impl Cut {
    fn file(&self) -> PathBuf {
        self.folder.join("jobs.db")
    }
}

/// The memory that processes share is a file, too, which nobody syncs: by turns none is there, one of junk, and one of another
/// moment, namely of the end, with the numbers of a WAL that is not this one.
fn leave_shared_memory(lab: &Lab, turn: usize, folder: &Path) {
    let path = folder.join("jobs.db-shm");
    match turn % 3 {
        0 => {}
        1 => std::fs::write(path, vec![0xa5; 32 * 1024]).unwrap(),
        // The second process may have been quick enough to close the file, and with it this one.
        _ => match std::fs::copy(lab.path().with_extension("db-shm"), path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        },
    }
}

/// Carries out the events, with a cut at each of these moments.
fn cuts(
    lab: &Lab,
    events: &[Event],
    mut moments: Vec<usize>,
    mut fate: impl FnMut(usize) -> Fate,
) -> impl Iterator<Item = Cut> {
    moments.sort_unstable();
    let (mut disk, mut seen) = (Disk::default(), 0);
    moments.into_iter().enumerate().map(move |(n, moment)| {
        for event in &events[seen..moment] {
            disk.see(event);
        }
        seen = moment;
        let folder = lab.folder.path().join(format!("cut-{n}"));
        std::fs::create_dir(&folder).unwrap();
        disk.after_a_cut(&mut fate(n), &folder);
        leave_shared_memory(lab, n, &folder);
        let told = events[..moment].iter().filter_map(|event| match event {
            Event::Told(told) => Some(told.clone()),
            _ => None,
        });
        Cut { folder, told: told.collect() }
    })
}

/// All of what was answered that is not so.
fn lost<'a>(file: &Connection, told: &'a [Told]) -> Vec<&'a Told> {
    let there: HashSet<u64> = numbers(file).into_iter().collect();
    let is = |id: &str, holds: &str| -> bool { file.query_row(&of_job(id, holds), [], |row| row.get(0)).unwrap() };
    let holds = |told: &Told| match told {
        Told::Added { id } => there.contains(&id.parse().unwrap()),
        Told::Completed { id } => is(id, "state = 4"),
        Told::Failed { id } => is(id, "state = 5"),
        Told::Retried { id } => is(id, "made >= 1"),
        Told::Committed { id } => is(id, &completed_with_receipt(id)),
        _ => panic!("nobody was expected to tell: {told:?}"),
    };
    told.iter().filter(|told| !holds(told)).collect()
}

/// The store opens what is left, and finds it whole. Returns how many jobs there are.
async fn assert_sound(path: &Path) -> u64 {
    // It is not about to be cut off again.
    let store = Store::connect(&format!("{}?durability=normal", url(path))).await.unwrap();
    assert_whole(&connect(path));
    let queue = Queue::new(&store, QUEUE).unwrap();
    let counts = queue.overview().await.unwrap().counts;
    let mut listed = 0;
    for (state, counted) in [
        (JobState::Waiting, counts.waiting),
        (JobState::Active, counts.active),
        (JobState::Delayed, counts.delayed),
        (JobState::Completed, counts.completed),
        (JobState::Failed, counts.failed),
    ] {
        let jobs = queue.jobs(state, 0, 1000).await.unwrap().jobs;
        assert_eq!(jobs.len() as u64, counted, "{state:?}");
        listed += counted;
    }
    listed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_power_cut_at_any_moment_all_that_was_answered_is_there() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let lab = Lab::new();
    let Some(events) = two_processes(&lab, "", "full") else { return };
    let mut rng = fastrand::Rng::with_seed(seed);
    let cutoffs = (0..times(CUTS)).map(|_| rng.usize(0..=events.len())).collect();
    let fate = |n: usize| Fate::by_chance(fastrand::Rng::with_seed(seed.wrapping_add(n as u64)));
    for (n, cut) in cuts(&lab, &events, cutoffs, fate).enumerate() {
        let jobs = assert_sound(&cut.file()).await;
        let file = connect(&cut.file());
        assert_eq!(lost(&file, &cut.told), Vec::<&Told>::new(), "cut {n}, {}", cut.folder.display());
        if n % WORKED == 0 {
            // As after the power is back.
            file.execute_batch("UPDATE lariat_store SET boot = 'an earlier one'").unwrap();
            drop(file);
            let (completed, failed) = work_off(&cut.file()).await;
            assert_eq!(completed + failed, jobs);
            assert_whole(&connect(&cut.file()));
        }
        drop(std::fs::remove_dir_all(&cut.folder));
    }
}

/// That the test above can fail; and that `durability=normal` costs the last moments, and no more.
#[tokio::test]
async fn with_normal_a_power_cut_loses_what_was_answered_last_and_leaves_a_whole_file() {
    let lab = Lab::new();
    let Some(events) = two_processes(&lab, "?durability=normal", "normal") else { return };
    let answers = (0..=events.len()).filter(|n| n.checked_sub(1).is_some_and(|n| matches!(events[n], Event::Told(_))));
    let (mut lossy, mut added) = (0, 0);
    let answers: Vec<usize> = answers.collect();
    let all = answers.len();
    for cut in cuts(&lab, &events, answers, |_| Fate::nothing()) {
        assert_sound(&cut.file()).await;
        let file = connect(&cut.file());
        let lost = if has_tables(&file) { lost(&file, &cut.told) } else { cut.told.iter().collect() };
        lossy += usize::from(!lost.is_empty());
        added += usize::from(lost.iter().any(|told| matches!(told, Told::Added { .. })));
    }
    eprintln!("of {all} cuts {lossy} lose an answer, {added} an add");
    assert!(added > 0, "answered adds are lost");
}

fn has_tables(file: &Connection) -> bool {
    file.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'receipt'", [], |row| row.get(0)).unwrap()
}
