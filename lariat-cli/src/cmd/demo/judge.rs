//! Whether all held. Pure: from what was seen, to a list of checks.
//!
//! Each check goes by more than one witness where there are several: the queue's own event stream, the jobs' records, and
//! what the workers counted.

use std::time::Duration;

use super::task::Hashed;
use crate::output::counted;

/// Faults that are named for each check.
const NAMED: usize = 10;

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) jobs: Vec<JobSeen>,
    pub(super) workers: Vec<WorkerSeen>,
    /// The worker that was killed on purpose.
    pub(super) killed: Option<Killed>,
    /// How long the long jobs were to take.
    pub(super) hold: Duration,
    /// Locks renewed by all workers.
    pub(super) renewed: u64,
}

/// A file's job.
#[derive(Debug, Clone)]
pub(super) struct JobSeen {
    pub(super) file: String,
    pub(super) long: bool,
    /// What a direct pass says: the digest, or why the file cannot be read.
    pub(super) direct: Result<String, String>,
    /// The file was changed while the demo ran, so the two need not agree.
    pub(super) changed: bool,
    pub(super) end: End,
    /// How often it was started, as its record says.
    pub(super) starts: u32,
    pub(super) told: Told,
}

/// What has become of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Completed(Hashed),
    Failed {
        why: String,
        /// The worker.
        by: String,
    },
    /// It has not ended, but is in this state.
    Not(String),
    /// There is no such job.
    Gone,
    /// Its record is not what it should be.
    Odd(String),
}

impl End {
    fn by(&self) -> Option<&str> {
        match self {
            End::Completed(hashed) => Some(&hashed.by),
            End::Failed { by, .. } => Some(by),
            End::Not(_) | End::Gone | End::Odd(_) => None,
        }
    }
}

/// How often the queue's event stream told something of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) started: u32,
    pub(super) completed: u32,
    pub(super) failed: u32,
    /// It went back to those that wait, because its worker was lost, or lost the lock and put it back.
    pub(super) returned: u32,
    /// Because its worker was lost.
    pub(super) stalled: u32,
}

#[derive(Debug, Clone)]
pub(super) struct WorkerSeen {
    pub(super) name: String,
    /// Results that the store took from it, as it counted them; None where it was killed, or could not count.
    pub(super) ended_jobs: Option<u64>,
    /// How it ended, where nobody had asked for it.
    pub(super) died: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Killed {
    pub(super) worker: String,
    /// The places of the jobs that it held then.
    pub(super) held: Vec<usize>,
}

/// One thing that should hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) name: &'static str,
    /// What holds, or what should.
    pub(super) words: String,
    /// Why it does not: the first few, and how many there are. Empty where it holds.
    pub(super) faults: Vec<String>,
}

impl Check {
    fn new(name: &'static str, words: String, faults: impl Iterator<Item = String>) -> Check {
        let mut faults: Vec<String> = faults.collect();
        if faults.len() > NAMED {
            let more = faults.len() - NAMED;
            faults.truncate(NAMED);
            faults.push(format!("and {more} more"));
        }
        Check { name, words, faults }
    }

    pub(super) fn held(&self) -> bool {
        self.faults.is_empty()
    }
}

/// All the checks.
pub(super) fn judge(seen: &Evidence) -> Vec<Check> {
    vec![lost(seen), twice(seen), runs(seen), long(seen), recovered(seen), workers(seen), digests(seen)]
}

fn lost(seen: &Evidence) -> Check {
    let faults = seen.jobs.iter().filter_map(|job| match &job.end {
        End::Completed(_) | End::Failed { .. } => None,
        End::Not(state) => Some(format!("{}: its job is still {state}", job.file)),
        End::Gone => Some(format!("{}: its job is gone", job.file)),
        End::Odd(why) => Some(format!("{}: its job cannot be read: {why}", job.file)),
    });
    Check::new("nothing-lost", format!("nothing lost: each of {} jobs came to its end", seen.jobs.len()), faults)
}

/// By the events: one end for each job. By the workers: no more ends than the records that name them.
fn twice(seen: &Evidence) -> Check {
    let by_events = seen.jobs.iter().filter_map(|job| match job.told.completed + job.told.failed {
        1 => None,
        0 => Some(format!("{}: its end was not announced", job.file)),
        ends => Some(format!("{}: ended {ends} times", job.file)),
    });
    let by_workers = seen.workers.iter().filter_map(|worker| {
        let counted = worker.ended_jobs?;
        let recorded = seen.jobs.iter().filter(|job| job.end.by() == Some(&worker.name)).count() as u64;
        let words = format!("{} ended {counted} jobs, but {recorded} are recorded as its own", worker.name);
        (counted != recorded).then_some(words)
    });
    let words = "nothing completed twice: one end announced for each job, as many as the workers counted";
    Check::new("nothing-twice", words.to_owned(), by_events.chain(by_workers))
}

/// A job that runs again for no reason that was announced ran twice.
fn runs(seen: &Evidence) -> Check {
    let faults = seen.jobs.iter().filter_map(|job| {
        let Told { started, returned, .. } = job.told;
        let fair = job.starts == started && started == returned + 1;
        let words = format!(
            "{}: {} starts are recorded, {started} were announced, and {returned} times it was put back",
            job.file, job.starts
        );
        (!fair && !matches!(job.end, End::Gone | End::Odd(_))).then_some(words)
    });
    let again = seen.jobs.iter().filter(|job| job.starts > 1).count();
    Check::new(
        "no-run-too-many",
        format!("no run too many: only the {} whose lock was lost ran again", counted(again, "job")),
        faults,
    )
}

fn long(seen: &Evidence) -> Check {
    let least = u64::try_from(seen.hold.as_millis()).unwrap_or(u64::MAX);
    let all = seen.jobs.iter().filter(|job| job.long);
    let long = all.clone().count();
    let short = all.filter_map(|job| match &job.end {
        End::Completed(hashed) if hashed.took_ms < least => {
            Some(format!("{}: took {} ms instead of {least}", job.file, hashed.took_ms))
        }
        _ => None,
    });
    let renewed = (seen.renewed < long as u64)
        .then(|| format!("only {} locks were renewed for {}", seen.renewed, counted(long, "long job")));
    let words = match long {
        1 => "1 long job kept its lock to its end".to_owned(),
        _ => format!("{long} long jobs kept their locks to their end"),
    };
    Check::new("long-jobs-kept", words, short.chain(renewed))
}

/// Each job that the killed worker held is found stalled and ended by another, unless its end was already on its way.
fn recovered(seen: &Evidence) -> Check {
    const NAME: &str = "killed-worker-recovered";
    let Some(killed) = &seen.killed else {
        let fault = "no worker was killed: all jobs had ended before";
        return Check::new(NAME, "the jobs of a killed worker run again".to_owned(), [fault.to_owned()].into_iter());
    };
    let held = killed.held.iter().filter_map(|place| seen.jobs.get(*place));
    let faults = held.filter_map(|job| {
        let others = job.end.by().is_some_and(|by| by != killed.worker);
        let fault = match (job.told.stalled, others) {
            (0, false) if job.end.by().is_some() => return None,
            (1.., true) => return None,
            (0, _) => "was not found stalled",
            (1.., false) => "was not ended by another",
        };
        Some(format!("{}: {fault}", job.file))
    });
    let mut faults: Vec<String> = faults.collect();
    let again = recovered_jobs(seen);
    if faults.is_empty() && again == 0 {
        faults.push(format!("{} held no job that was left to recover", killed.worker));
    }
    let again = counted(again, "job");
    let words = format!("recovered: the {again} that {} held when it was killed ran again", killed.worker);
    Check::new(NAME, words, faults.into_iter())
}

/// How many jobs of the killed worker were found and ended by another.
pub(super) fn recovered_jobs(seen: &Evidence) -> usize {
    let Some(killed) = &seen.killed else { return 0 };
    let held = killed.held.iter().filter_map(|place| seen.jobs.get(*place));
    held.filter(|job| job.told.stalled > 0 && job.end.by().is_some_and(|by| by != killed.worker)).count()
}

fn workers(seen: &Evidence) -> Check {
    let died = seen.workers.iter().filter_map(|worker| Some(format!("{} {}", worker.name, worker.died.as_ref()?)));
    Check::new("workers-lived", "the other workers lived to the end".to_owned(), died)
}

fn digests(seen: &Evidence) -> Check {
    let judged = || seen.jobs.iter().filter(|job| !job.changed);
    let faults = judged().filter_map(|job| {
        let fault = match (&job.direct, &job.end) {
            (Ok(direct), End::Completed(hashed)) if *direct == hashed.sha256 => return None,
            (Err(_), End::Failed { .. }) => return None,
            (Ok(direct), End::Completed(hashed)) => format!("its job says {}, a direct pass {direct}", hashed.sha256),
            (Err(why), End::Completed(_)) => format!("its job has a digest, but a direct pass says: {why}"),
            (_, End::Failed { why, .. }) => format!("its job failed: {why}"),
            (_, End::Not(_) | End::Gone | End::Odd(_)) => "its job has no digest".to_owned(),
        };
        Some(format!("{}: {fault}", job.file))
    });
    let unreadable = judged().filter(|job| job.direct.is_err()).count();
    let readable = judged().count() - unreadable;
    let changed = seen.jobs.iter().filter(|job| job.changed).count();
    let words = [
        match readable {
            1 => "the digest is that of a direct pass over the file".to_owned(),
            _ => format!("all {readable} digests are those of a direct pass over the files"),
        },
        match unreadable {
            0 => String::new(),
            1 => "; 1 file cannot be read, and its job failed".to_owned(),
            _ => format!("; {unreadable} files cannot be read, and their jobs failed"),
        },
        match changed {
            0 => String::new(),
            1 => "; 1 file changed meanwhile and is not compared".to_owned(),
            _ => format!("; {changed} files changed meanwhile and are not compared"),
        },
    ];
    Check::new("digests-equal", words.concat(), faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(by: &str, took_ms: u64) -> End {
        End::Completed(Hashed { sha256: "d1".to_owned(), by: by.to_owned(), took_ms })
    }

    fn job(file: &str, by: &str) -> JobSeen {
        JobSeen {
            file: file.to_owned(),
            long: false,
            direct: Ok("d1".to_owned()),
            changed: false,
            end: hashed(by, 1),
            starts: 1,
            told: Told { started: 1, completed: 1, ..Told::default() },
        }
    }

    fn worker(name: &str, ended_jobs: Option<u64>) -> WorkerSeen {
        WorkerSeen { name: name.to_owned(), ended_jobs, died: None }
    }

    /// Worker b was killed while it held the job of the file `long`, which a ran again.
    fn sound() -> Evidence {
        let mut long = job("long", "a");
        (long.long, long.starts, long.end) = (true, 2, hashed("a", 3_000));
        long.told = Told { started: 2, completed: 1, failed: 0, returned: 1, stalled: 1 };
        let mut secret = job("secret", "a");
        (secret.direct, secret.end) =
            (Err("denied".to_owned()), End::Failed { why: "denied".to_owned(), by: "a".to_owned() });
        (secret.told.completed, secret.told.failed) = (0, 1);
        Evidence {
            jobs: vec![job("quick", "a"), long, secret, job("early", "b")],
            workers: vec![worker("a", Some(3)), worker("b", None)],
            killed: Some(Killed { worker: "b".to_owned(), held: vec![1] }),
            hold: Duration::from_secs(3),
            renewed: 7,
        }
    }

    /// The checks that do not hold, with what they say.
    fn red(seen: &Evidence) -> Vec<(&'static str, String)> {
        judge(seen)
            .into_iter()
            .filter(|check| !check.held())
            .map(|check| (check.name, check.faults.join("; ")))
            .collect()
    }

    #[track_caller]
    fn is_red(change: impl Fn(&mut Evidence), expected: &[(&str, &str)]) {
        let mut seen = sound();
        change(&mut seen);
        let found = red(&seen);
        assert_eq!(
            found.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            expected.iter().map(|e| e.0).collect::<Vec<_>>()
        );
        for ((_, faults), (_, words)) in found.iter().zip(expected) {
            assert!(faults.contains(words), "{words:?} is not in {faults:?}");
        }
    }

    #[test]
    fn what_is_sound_holds() {
        assert_eq!(red(&sound()), []);
        let words: Vec<_> = judge(&sound()).into_iter().map(|check| check.words).collect();
        assert!(words[2].contains("only the 1 job whose lock was lost"), "{words:?}");
        assert_eq!(words[3], "1 long job kept its lock to its end");
        assert!(words[4].contains("the 1 job that b held"), "{words:?}");
        assert!(words[6].contains("all 3 digests") && words[6].contains("1 file cannot be read"), "{words:?}");
    }

    #[test]
    fn a_lost_job_is_red() {
        is_red(
            |seen| {
                seen.jobs[0].end = End::Gone;
                seen.jobs[0].told.completed = 0;
                seen.workers[0].ended_jobs = Some(2);
            },
            &[
                ("nothing-lost", "quick: its job is gone"),
                ("nothing-twice", "not announced"),
                ("digests-equal", "no digest"),
            ],
        );
        is_red(
            |seen| {
                seen.jobs[1].end = End::Not("active".to_owned());
                seen.jobs[1].told.completed = 0;
                seen.workers[0].ended_jobs = Some(2);
            },
            &[
                ("nothing-lost", "long: its job is still active"),
                ("nothing-twice", "long: its end was not announced"),
                ("killed-worker-recovered", "long: was not ended by another"),
                ("digests-equal", "long: its job has no digest"),
            ],
        );
    }

    #[test]
    fn a_job_that_completed_twice_is_red_by_either_witness() {
        is_red(|seen| seen.jobs[0].told.completed = 2, &[("nothing-twice", "quick: ended 2 times")]);
        is_red(|seen| seen.jobs[2].told.completed = 1, &[("nothing-twice", "secret: ended 2 times")]);
        is_red(|seen| seen.workers[0].ended_jobs = Some(4), &[("nothing-twice", "a ended 4 jobs, but 3")]);
    }

    #[test]
    fn a_run_too_many_is_red() {
        is_red(
            |seen| seen.jobs[0].starts = 2,
            &[("no-run-too-many", "quick: 2 starts are recorded, 1 were announced")],
        );
        is_red(
            |seen| (seen.jobs[0].starts, seen.jobs[0].told.started) = (2, 2),
            &[("no-run-too-many", "0 times it was put back")],
        );
    }

    #[test]
    fn long_jobs_that_were_not_are_red() {
        is_red(|seen| seen.jobs[1].end = hashed("a", 2_999), &[("long-jobs-kept", "long: took 2999 ms")]);
        is_red(|seen| seen.renewed = 0, &[("long-jobs-kept", "only 0 locks")]);
    }

    #[test]
    fn nothing_recovered_is_red() {
        is_red(|seen| seen.killed = None, &[("killed-worker-recovered", "no worker was killed")]);
        is_red(
            |seen| seen.killed = Some(Killed { worker: "b".to_owned(), held: vec![] }),
            &[("killed-worker-recovered", "b held no job")],
        );
        is_red(
            |seen| (seen.jobs[1].told, seen.jobs[1].starts) = (seen.jobs[0].told, 1),
            &[("killed-worker-recovered", "long: was not found stalled")],
        );
        // A result that the dying worker sent may have arrived after we looked.
        let mut seen = sound();
        seen.killed = Some(Killed { worker: "b".to_owned(), held: vec![1, 3] });
        assert_eq!(red(&seen), []);
    }

    #[test]
    fn a_wrong_digest_is_red() {
        is_red(
            |seen| seen.jobs[0].direct = Ok("d2".to_owned()),
            &[("digests-equal", "quick: its job says d1, a direct pass d2")],
        );
        is_red(
            |seen| seen.jobs[0].direct = Err("denied".to_owned()),
            &[("digests-equal", "quick: its job has a digest")],
        );
        is_red(
            |seen| seen.jobs[2].direct = Ok("d1".to_owned()),
            &[("digests-equal", "secret: its job failed: denied")],
        );
        let mut seen = sound();
        (seen.jobs[0].direct, seen.jobs[0].changed) = (Ok("d2".to_owned()), true);
        assert_eq!(red(&seen), [], "it was changed meanwhile");
    }

    #[test]
    fn a_worker_that_died_is_red() {
        is_red(
            |seen| seen.workers[0].died = Some("ended by signal 11".to_owned()),
            &[("workers-lived", "a ended by signal 11")],
        );
    }

    #[test]
    fn not_all_faults_are_named() {
        let mut seen = sound();
        for n in 0..30 {
            let mut lost = job(&format!("file-{n}"), "b");
            lost.end = End::Gone;
            seen.jobs.push(lost);
        }
        let faults = judge(&seen).remove(0).faults;
        assert_eq!((faults.len(), faults[NAMED].as_str()), (NAMED + 1, "and 20 more"));
    }
}
