//! SIGKILL at any moment: what was answered stays, what was begun is done again.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use interop::wait;
use lariat::{JobRecord, JobState, NewJob, Queue};

use crate::child::{Orders, Process, Told, history};
use crate::copy::work_off;
use crate::lab::{Lab, assert_whole, connect, numbers, times};

const JOBS: u64 = 1000;
const LANES: u64 = 4;
/// Kills, in all lanes together.
const KILLS: u64 = 20;

/// Two workers on 1,000 jobs; one of them is killed in the middle, and another comes in its place. 20 times, on four files
/// at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_killed_in_the_middle_lose_nothing_and_nothing_is_refused_wrongly() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        lanes.spawn(async move {
            let lab = Lab::new();
            let mut rng = fastrand::Rng::with_seed(seed.wrapping_add(lane));
            let mut found = Vec::new();
            for round in 0..KILLS / LANES {
                found.push(one_kill(&lab, round, &mut rng).await);
            }
            assert_whole(&connect(&lab.path()));
            found
        });
    }
    let found = lanes.join_all().await.concat();
    let met = found.iter().filter(|found| **found > 0).count() as u64;
    eprintln!("{} jobs were taken over after {met} of {KILLS} kills", found.iter().sum::<u32>());
    assert!(met >= KILLS / 2, "most of the kills met jobs that were running: {found:?}");
}

/// Returns how often a job was found without its worker.
async fn one_kill(lab: &Lab, round: u64, rng: &mut fastrand::Rng) -> u32 {
    let queue_name = format!("round-{round}");
    let orders = Orders {
        queue: queue_name.clone(),
        history: lab.folder.path().join(&queue_name),
        concurrency: 10,
        ..lab.orders()
    };
    let queue = Queue::new(&lab.store(), &queue_name).unwrap();
    queue.add_bulk((0..JOBS).map(|n| NewJob::new("n", &n))).await.unwrap();
    let mut crew = [orders.start(), orders.start()];
    let completed = || async { queue.overview().await.unwrap().counts.completed };
    let when = rng.u64(50..JOBS - 150);
    wait::until_async("the middle", || async { completed().await >= when }).await;
    let victim: &mut Process = rng.choice(&mut crew).unwrap();
    victim.kill();
    *victim = orders.start();
    wait::until_async("all jobs are completed", || async { completed().await >= JOBS }).await;
    let counts = queue.overview().await.unwrap().counts;
    assert_eq!((counts.completed, counts.failed, counts.waiting, counts.active), (JOBS, 0, 0, 0));
    for process in &mut crew {
        process.kill();
    }
    judge(&all(&queue).await, &history(&orders.history))
}

async fn all(queue: &Queue) -> Vec<JobRecord> {
    queue.jobs(JobState::Completed, 0, JOBS + 1).await.unwrap().jobs
}

/// Every job ended once, with the value of a run that came to its end; a worker whose result was refused had lost the job
/// to somebody else.
fn judge(jobs: &[JobRecord], told: &[Told]) -> u32 {
    let jobs: HashMap<&str, &JobRecord> = jobs.iter().map(|job| (job.id.as_str(), job)).collect();
    assert_eq!(jobs.len() as u64, JOBS);
    let mut ended = HashSet::new();
    for line in told {
        match line {
            Told::Ended { id, value } => drop(ended.insert((id.as_str(), value.as_str()))),
            Told::Refused { id, .. } | Told::LockLost { id } => {
                assert!(jobs[id.as_str()].stalled_counter > 0, "{line:?}, but nobody else had the job");
            }
            Told::Completed { .. } | Told::StoreLost { .. } => {}
            _ => panic!("nobody does that here: {line:?}"),
        }
    }
    let mut found = 0;
    for (id, record) in jobs {
        let value: String = serde_json::from_str(record.return_value.as_ref().unwrap().get()).unwrap();
        assert!(ended.contains(&(id, value.as_str())), "job {id} has the value {value:?} of a run that did not end");
        assert_eq!((record.attempts_made, record.attempts_started), (1, record.stalled_counter + 1), "job {id}");
        found += record.stalled_counter;
    }
    found
}

/// One file, 20 processes one after the other that add on eight lanes, each killed after some answers.
#[tokio::test]
async fn adds_that_were_answered_survive_the_kill_of_their_process() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let lab = Lab::new();
    let orders = Orders { adders: 8, adds: u64::MAX, ..lab.orders() };
    for round in 1..=20 {
        let before = history(&orders.history).len();
        let enough = before + rng.usize(1..150);
        let mut process = orders.start();
        wait::until("some adds were answered", || history(&orders.history).len() >= enough);
        process.kill();
        assert!(lab.path().with_extension("db-wal").exists(), "a killed process leaves its WAL");
        let told = history(&orders.history);
        let answered: HashSet<u64> = told.iter().map(number).collect();
        assert_eq!(answered.len(), told.len(), "no id was given out twice");
        let file = connect(&lab.path());
        assert_whole(&file);
        let there = numbers(&file);
        let extra = there.len() - there.iter().filter(|number| answered.contains(number)).count();
        assert_eq!(there.len() - extra, answered.len(), "all that was answered is there");
        assert!(extra <= 8 * round, "only what was in flight is there besides: {extra} after {round} kills");
    }
    assert_eq!(lab.queue().overview().await.unwrap().counts.waiting, numbers(&connect(&lab.path())).len() as u64);
}

fn number(told: &Told) -> u64 {
    match told {
        Told::Added { id } => id.parse().unwrap(),
        _ => panic!("{told:?}"),
    }
}

/// Kills of processes that have not been started long ago, on this many files at a time; a file sees so many at most.
const EARLY_KILLS: usize = 40;
const FILES: usize = 2;
const ON_ONE_FILE: usize = 100;

/// One process after the other adds and works, and is killed at any moment: while it opens the file, reads the WAL of the
/// one before, commits, or searches for its jobs; every second one at a moment when it has told something. All that was answered to any of them is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_outlives_any_number_of_kills() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..FILES {
        lanes.spawn(async move {
            let mut rng = fastrand::Rng::with_seed(seed.wrapping_add(lane as u64));
            let (mut left, mut busy) = (times(EARLY_KILLS) / FILES, 0);
            while left > 0 {
                let kills = left.min(ON_ONE_FILE);
                busy += kills_on_one_file(kills, &mut rng).await;
                left -= kills;
            }
            busy
        });
    }
    let busy: usize = lanes.join_all().await.into_iter().sum();
    eprintln!("{busy} of {} kills met a process to which something had been answered", times(EARLY_KILLS));
    assert!(busy >= times(EARLY_KILLS) / 2, "every second kill is one of them");
}

/// Returns how many of the processes had been answered something.
async fn kills_on_one_file(kills: usize, rng: &mut fastrand::Rng) -> usize {
    let lab = Lab::new();
    let orders = Orders { adders: 2, adds: u64::MAX, concurrency: 4, job: Duration::from_millis(1), ..lab.orders() };
    let mut busy = 0;
    for kill in 1..=kills {
        let before = history(&orders.history).len();
        let mut process = orders.start();
        if kill % 2 == 0 {
            let enough = before + rng.usize(1..80);
            wait::until_async("enough is told", || async { history(&orders.history).len() >= enough }).await;
        } else {
            let longest = *rng.choice(&[8_000, 60_000]).unwrap();
            // sleep: the moment is left to chance
            tokio::time::sleep(Duration::from_micros(rng.u64(0..longest))).await;
        }
        process.kill();
        busy += usize::from(history(&orders.history).len() > before);
        // Not each time: closing the file would spare the next process the WAL.
        if kill == kills || rng.u8(0..3) == 0 {
            assert_nothing_lost(&lab, &history(&orders.history));
        }
    }
    lab.queue().add("last", &0).await.unwrap();
    let (completed, failed) = work_off(&lab.path()).await;
    assert_eq!((completed, failed), (numbers(&connect(&lab.path())).len() as u64, 0));
    busy
}

/// The file is whole, and has all that was answered.
fn assert_nothing_lost(lab: &Lab, told: &[Told]) {
    if told.is_empty() {
        // There may be no file, or none with a table.
        return;
    }
    let file = connect(&lab.path());
    assert_whole(&file);
    let of_state = |state: i64| -> HashSet<u64> {
        let mut jobs = file.prepare("SELECT row & 0xffffffffff FROM lariat_job WHERE state = ?1").unwrap();
        let numbers = jobs.query_map([state], |row| row.get::<_, i64>(0)).unwrap();
        numbers.map(|number| number.unwrap().cast_unsigned()).collect()
    };
    let (there, completed) = (numbers(&file).into_iter().collect::<HashSet<_>>(), of_state(4));
    for line in told {
        match line {
            Told::Added { id } => assert!(there.contains(&id.parse().unwrap()), "job {id} is lost"),
            Told::Completed { id } => assert!(completed.contains(&id.parse().unwrap()), "job {id} is not completed"),
            Told::NotAdded { why } | Told::StoreLost { why } => panic!("{why}"),
            _ => {}
        }
    }
}
