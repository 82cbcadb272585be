//! The figures and the verdict, for people and for programs.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use indicatif::HumanBytes;
use serde::Serialize;

use super::Terms;
use super::crew::{Crew, Fate};
use super::evidence::{Seen, throughput};
use super::files::{Found, Skipped};
use super::judge::{Check, Evidence, judge, recovered_jobs};
use super::stage::Stage;
use crate::args::DemoArgs;
use crate::output;

/// What is printed in the end. Times are in ms.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// Whether all of it held.
    pub(super) held: bool,
    folder: String,
    store: String,
    queue: String,
    jobs: usize,
    long_jobs: usize,
    bytes: u64,
    /// There were more files than are taken.
    more: bool,
    skipped: Skipped,
    workers: usize,
    concurrency: usize,
    took_ms: u64,
    quick: Quick,
    locks: LockFigures,
    killed: Option<KillFigures>,
    checks: Vec<CheckFigures>,
}

/// How fast the quick jobs went, from the first one's start to the last one's end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Quick {
    jobs: usize,
    took_ms: u64,
    per_second: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LockFigures {
    duration_ms: u64,
    hold_ms: u64,
    renewed: u64,
    calls: u64,
    unanswered: u64,
    smallest_trust_ms: Option<u64>,
    /// By workers that lived.
    lost: u64,
    /// Results that came too late, of workers that lived.
    refused: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct KillFigures {
    worker: String,
    pid: u32,
    after_ms: u64,
    held: usize,
    recovered: usize,
    /// When the first and the last of them were found, counted from the kill.
    found_after_ms: Option<[u64; 2]>,
    /// When the last of them had ended.
    ended_after_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct CheckFigures {
    name: &'static str,
    held: bool,
    words: String,
    faults: Vec<String>,
}

impl From<Check> for CheckFigures {
    fn from(check: Check) -> CheckFigures {
        CheckFigures { held: check.held(), name: check.name, words: check.words, faults: check.faults }
    }
}

impl Report {
    pub(super) fn new(
        stage: &Stage,
        args: &DemoArgs,
        terms: &Terms,
        files: &Found,
        crew: &Crew,
        seen: &Seen,
        evidence: &Evidence,
    ) -> Report {
        let checks: Vec<CheckFigures> = judge(evidence).into_iter().map(CheckFigures::from).collect();
        let (quick, took) = throughput(seen);
        let per_second = (took > Duration::ZERO).then(|| quick as u64 * 1_000_000 / micros(took).max(1));
        Report {
            held: checks.iter().all(|check| check.held),
            folder: args.dir.to_string_lossy().into_owned(),
            store: stage.store.to_string(),
            queue: stage.queue.name().to_string(),
            jobs: seen.ids.len(),
            long_jobs: seen.long.iter().filter(|long| **long).count(),
            bytes: seen.bytes,
            more: files.more,
            skipped: files.skipped,
            workers: terms.workers,
            concurrency: terms.concurrency,
            took_ms: ms(seen.took),
            quick: Quick { jobs: quick, took_ms: ms(took), per_second },
            locks: LockFigures::of(crew, terms),
            killed: KillFigures::of(crew, seen, evidence),
            checks,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |head: &str, words: String| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{head:14} {}", output::shown(&words));
        };
        let store = format!("{}, queue {}", self.store, self.queue);
        line(
            "jobs",
            format!("{} below {}, {}", output::counted(self.jobs, "file"), self.folder, HumanBytes(self.bytes)),
        );
        line("store", store);
        line("workers", format!("{} processes, {} jobs each at a time", self.workers, self.concurrency));
        if let Some(rate) = self.quick.per_second {
            line(
                "throughput",
                format!(
                    "{} in {}: {rate}/s",
                    output::counted(self.quick.jobs, "quick job"),
                    seconds(self.quick.took_ms)
                ),
            );
        }
        let (hold, lock) = (seconds(self.locks.hold_ms), seconds(self.locks.duration_ms));
        line("long jobs", format!("{}, each held for {hold} by a lock of {lock}", self.long_jobs));
        line("locks", self.locks.words());
        if let Some(killed) = &self.killed {
            line("killed", killed.words());
        }
        text.push('\n');
        for check in &self.checks {
            let _ = writeln!(text, "{} {}", if check.held { "ok " } else { "NO " }, output::shown(&check.words));
            for fault in &check.faults {
                let _ = writeln!(text, "      {}", output::shown(fault));
            }
        }
        let took = seconds(self.took_ms);
        let verdict = if self.held { "all of it held" } else { "NOT all of it held" };
        let _ = writeln!(text, "\n{verdict}, in {took}");
        text
    }
}

impl LockFigures {
    fn of(crew: &Crew, terms: &Terms) -> LockFigures {
        let all = || crew.members.iter().map(|member| &member.last.locks);
        let lived = || crew.members.iter().filter(|member| member.fate != Fate::Killed).map(|member| &member.last);
        LockFigures {
            duration_ms: ms(terms.lock),
            hold_ms: ms(terms.hold),
            renewed: all().map(|locks| locks.renewed).sum(),
            calls: all().map(|locks| locks.calls).sum(),
            unanswered: all().map(|locks| locks.unanswered).sum(),
            smallest_trust_ms: all().filter_map(|locks| locks.smallest_trust).min().map(ms),
            lost: lived().map(|last| last.locks.lost).sum(),
            refused: lived().map(|last| last.refused).sum(),
        }
    }

    fn words(&self) -> String {
        let mut words = format!("renewed {} times in {} calls", self.renewed, self.calls);
        if let Some(trust) = self.smallest_trust_ms {
            let _ = write!(words, "; smallest trust left at a renewal {trust} ms");
        }
        if self.lost > 0 {
            let _ =
                write!(words, "; {} lost by living workers, too slow to renew them: their jobs ran again", self.lost);
        }
        words
    }
}

impl KillFigures {
    fn of(crew: &Crew, seen: &Seen, evidence: &Evidence) -> Option<KillFigures> {
        let kill = seen.kill.as_ref()?;
        let member = crew.members.get(kill.place)?;
        let since = |at: Instant| ms(at.saturating_duration_since(kill.at));
        let held = || kill.held.iter().filter_map(|id| seen.heard.of(id)).filter(|job| job.stalled.is_some());
        let found = || held().filter_map(|job| job.stalled).map(since);
        Some(KillFigures {
            worker: member.name.clone(),
            pid: member.pid,
            after_ms: ms(kill.after),
            held: kill.held.len(),
            recovered: recovered_jobs(evidence),
            found_after_ms: found().min().zip(found().max()).map(|(first, last)| [first, last]),
            ended_after_ms: held().filter_map(|job| job.ended).map(since).max(),
        })
    }

    fn words(&self) -> String {
        let KillFigures { worker, held, recovered, .. } = self;
        let held = output::counted(*held, "job");
        let mut words = format!("{worker}, by KILL after {}, with {held} in hand", seconds(self.after_ms));
        if let Some([first, last]) = self.found_after_ms {
            let (first, last) = (seconds(first), seconds(last));
            let when = if first == last { first } else { format!("{first} to {last}") };
            let _ = write!(words, "; {recovered} recovered, found {when} later");
        }
        words
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn seconds(ms: u64) -> String {
    output::span(Duration::from_millis(ms))
}
