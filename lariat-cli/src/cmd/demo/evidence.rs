//! Gathers what was seen: the records as they are now, what the events told, what the workers counted.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lariat::{Error, JobId, JobRecord, JobState, Queue};

use super::course::Kill;
use super::crew::{Crew, Fate};
use super::digest::{Direct, Mark};
use super::judge::{End, Evidence, JobSeen, Killed, WorkerSeen};
use super::task::Hashed;
use super::watch::Heard;
use crate::output;

const PAGE: u64 = 1_000;

/// What was seen on the way. Everything that is about a job has the job's place.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) ids: Vec<JobId>,
    pub(super) long: Vec<bool>,
    pub(super) direct: Vec<Direct>,
    pub(super) heard: Heard,
    pub(super) kill: Option<Kill>,
    /// From the first job added to the last one ended.
    pub(super) took: Duration,
    /// How much there was to read.
    pub(super) bytes: u64,
}

/// To be called when the workers have ended.
pub(super) async fn gather(
    queue: &Queue,
    files: &[PathBuf],
    crew: &Crew,
    seen: &Seen,
    hold: Duration,
) -> Result<Evidence, Error> {
    let mut ends = ends(queue).await?;
    let mut jobs = Vec::with_capacity(seen.ids.len());
    for (place, (id, file)) in seen.ids.iter().zip(files).enumerate() {
        let (end, starts) = ends.remove(id.as_str()).unwrap_or((End::Gone, 0));
        let Direct { digest, mark } = seen.direct[place].clone();
        let differs = !matches!((&digest, &end), (Ok(direct), End::Completed(hashed)) if *direct == hashed.sha256);
        jobs.push(JobSeen {
            file: output::shown(&file.to_string_lossy()).into_owned(),
            long: seen.long[place],
            changed: differs && Mark::of(file) != mark,
            direct: digest,
            end,
            starts,
            told: seen.heard.jobs[place].told,
        });
    }
    let killed = seen.kill.as_ref().map(|kill| Killed {
        worker: crew.members[kill.place].name.clone(),
        held: kill.held.iter().filter_map(|id| seen.heard.place(id)).collect(),
    });
    let renewed = crew.members.iter().map(|member| member.last.locks.renewed).sum();
    Ok(Evidence { jobs, workers: workers(crew), killed, hold, renewed })
}

fn workers(crew: &Crew) -> Vec<WorkerSeen> {
    let seen = crew.members.iter().map(|member| {
        let last = &member.last;
        WorkerSeen {
            name: member.name.clone(),
            ended_jobs: (member.fate == Fate::Closed && last.missed == 0).then_some(last.completed + last.failed),
            died: match &member.fate {
                Fate::Died(how) => Some(how.clone()),
                Fate::Working | Fate::Killed | Fate::Closed => None,
            },
        }
    });
    seen.collect()
}

/// What has become of each job of the queue, and how often it was started.
async fn ends(queue: &Queue) -> Result<HashMap<String, (End, u32)>, Error> {
    let mut ends = HashMap::new();
    for state in JobState::ALL {
        let mut from = 0;
        loop {
            let page = queue.jobs(state, from, PAGE).await?;
            if page.jobs.is_empty() && page.damaged.is_empty() {
                break;
            }
            from = page.next;
            ends.extend(page.damaged.into_iter().map(|job| (job.id, (End::Odd(job.why), 0))));
            ends.extend(
                page.jobs.into_iter().map(|job| (job.id.as_str().to_owned(), (end(state, &job), job.attempts_started))),
            );
        }
    }
    Ok(ends)
}

fn end(state: JobState, job: &JobRecord) -> End {
    match state {
        JobState::Completed => {
            let value = job.return_value.as_ref().map_or("null", |value| value.get());
            serde_json::from_str::<Hashed>(value).map_or_else(|e| End::Odd(format!("its result: {e}")), End::Completed)
        }
        JobState::Failed => End::Failed {
            why: job.failed_reason.clone().unwrap_or_default(),
            by: job.processed_by.clone().unwrap_or_default(),
        },
        other => End::Not(other.as_str().to_owned()),
    }
}

/// The quick jobs that never lost their worker: how many, and from the first one's start to the last one's end.
pub(super) fn throughput(seen: &Seen) -> (usize, Duration) {
    let quick = || {
        let jobs = seen.heard.jobs.iter().zip(&seen.long).filter(|(job, long)| !**long && job.stalled.is_none());
        jobs.map(|(job, _)| job).filter(|job| job.ended.is_some())
    };
    let begun: Option<Instant> = quick().filter_map(|job| job.started).min();
    let ended = quick().filter_map(|job| job.ended).max();
    let took = begun.zip(ended).map(|(begun, ended)| ended.saturating_duration_since(begun)).unwrap_or_default();
    (quick().count(), took)
}
