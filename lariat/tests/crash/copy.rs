//! Copies of a file and its WAL, taken while the process that writes them stands still: what a crash would have left.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use interop::wait;
use lariat::{JobError, Queue, Store, Worker};

use crate::child::{Orders, Told, history};
use crate::lab::{Lab, QUEUE, assert_whole, connect, numbers, url, wal};

const ROUNDS: usize = 30;

/// A file, and what had been told when it was copied.
struct Copy {
    path: PathBuf,
    told: Vec<Told>,
}

/// Stops a process at random moments and copies what is on the disk.
fn copies(lab: &Lab, orders: &Orders, rounds: usize, rng: &mut fastrand::Rng) -> Vec<Copy> {
    let process = orders.start();
    wait::until("it has begun", || history(&orders.history).len() > 10);
    let mut copies = Vec::new();
    for round in 0..rounds {
        // sleep: the moment is left to chance
        std::thread::sleep(Duration::from_micros(rng.u64(0..30_000)));
        process.stop();
        let path = lab.folder.path().join(format!("copy-{round}.db"));
        // Not the shared memory, which does not outlive a crash.
        fs::copy(lab.path(), &path).unwrap();
        fs::copy(wal(&lab.path()), wal(&path)).unwrap();
        copies.push(Copy { path, told: history(&orders.history) });
        process.go_on();
    }
    copies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_any_moment_has_all_that_was_answered_and_can_be_worked_to_the_end() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let lab = Lab::new();
    let orders = Orders { adders: 4, adds: u64::MAX, concurrency: 10, ..lab.orders() };
    let copies = copies(&lab, &orders, ROUNDS, &mut fastrand::Rng::with_seed(seed));
    let mut running = 0;
    for Copy { path, told } in copies {
        let file = connect(&path);
        assert_whole(&file);
        let there: HashSet<u64> = numbers(&file).into_iter().collect();
        for line in &told {
            match line {
                Told::Added { id } => assert!(there.contains(&id.parse().unwrap()), "{} lacks {id}", path.display()),
                Told::Completed { id } => assert_eq!(state(&file, id), 4, "{} has {id} not done", path.display()),
                Told::NotAdded { why } | Told::StoreLost { why } => panic!("{why}"),
                // A slow machine may lose a lock while the process stands still.
                Told::Ended { .. } | Told::Refused { .. } | Told::LockLost { .. } => {}
                _ => panic!("nobody does that here: {line:?}"),
            }
        }
        running += file.query_row("SELECT sum(active) FROM lariat_queue", [], |row| row.get::<_, i64>(0)).unwrap();
        // As after a power cut.
        file.execute_batch("UPDATE lariat_store SET boot = 'an earlier one'").unwrap();
        drop(file);
        assert_eq!(work_off(&path).await, (there.len() as u64, 0));
        assert_whole(&connect(&path));
    }
    assert!(running > 0, "some of the copies had jobs in the middle of their work");
}

fn state(file: &rusqlite::Connection, id: &str) -> i64 {
    let number: i64 = id.parse().unwrap();
    file.query_row("SELECT state FROM lariat_job WHERE row & 0xffffffffff = ?1", [number], |row| row.get(0)).unwrap()
}

/// Has all jobs end that have not yet; returns how many have then been completed, and how many have failed.
pub(crate) async fn work_off(path: &Path) -> (u64, u64) {
    let store = Store::open(&url(path)).unwrap();
    let queue = Queue::new(&store, QUEUE).unwrap();
    let worker = Worker::builder(&store, QUEUE)
        .concurrency(50)
        .stalled_interval(Duration::from_millis(20))
        .max_stalled(1000)
        .start(async |_| Ok::<_, JobError>(()))
        .unwrap();
    let done = || async { queue.overview().await.unwrap().counts.unfinished() == 0 };
    wait::until_async("its jobs are done", done).await;
    let counts = queue.overview().await.unwrap().counts;
    worker.close(Duration::from_secs(1)).await;
    (counts.completed, counts.failed)
}

/// A WAL of which only the first part reached the disk: whatever part that is, the file is whole and has the first jobs.
#[tokio::test]
async fn a_wal_cut_anywhere_leaves_a_whole_file_with_the_first_jobs() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let lab = Lab::new();
    let orders = Orders { adders: 4, adds: 30, ..lab.orders() };
    let process = orders.start();
    wait::until("all is added", || history(&orders.history).len() == 120);
    process.stop();
    let bytes = fs::read(wal(&lab.path())).unwrap();
    let mut lengths: Vec<usize> = (0..60).map(|_| rng.usize(0..bytes.len())).chain([0, bytes.len()]).collect();
    lengths.sort_unstable();
    let mut before = 0;
    for length in lengths {
        let path = lab.folder.path().join("cut.db");
        fs::copy(lab.path(), &path).unwrap();
        fs::write(wal(&path), &bytes[..length]).unwrap();
        let store = Store::connect(&url(&path)).await.unwrap();
        let file = connect(&path);
        assert_whole(&file);
        let there = numbers(&file);
        assert_eq!(there, (1..=there.len() as u64).collect::<Vec<_>>(), "no hole, cut at {length}");
        assert!(there.len() >= before, "a longer part has no fewer jobs");
        before = there.len();
        drop((file, store));
        wait::until("the file is closed", || !wal(&path).exists());
    }
    assert_eq!(before, 120);
}
