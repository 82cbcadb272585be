//! The part with the workers: from the first job to the last, with the kill in the middle.

use std::time::{Duration, Instant};

use lariat::{Error, JobId};
use tokio::sync::mpsc::UnboundedReceiver;

use super::Terms;
use super::crew::Crew;
use super::stage::Stage;
use super::view::{Now, View};
use super::watch::{Heard, News};
use crate::failure::Failure;
use crate::output;

const TICK: Duration = Duration::from_millis(100);
/// How long nothing may happen, beyond what a long job takes, until the rest is given up for lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the store may not answer.
const SILENCE: Duration = Duration::from_secs(10);
/// Jobs that a worker may hold.
const MOST_HELD: u64 = 10_000;

/// What it goes by and tells.
pub(super) struct Course<'a> {
    pub(super) stage: &'a Stage,
    pub(super) terms: Terms,
    pub(super) crew: &'a mut Crew,
    pub(super) heard: &'a mut Heard,
    pub(super) news: &'a mut UnboundedReceiver<News>,
    pub(super) view: &'a mut View,
}

/// The end of a worker.
#[derive(Debug)]
pub(super) struct Kill {
    /// Its place in the crew.
    pub(super) place: usize,
    pub(super) at: Instant,
    /// How long after the first job.
    pub(super) after: Duration,
    /// What it held then.
    pub(super) held: Vec<JobId>,
}

/// What is found out on the way.
struct Way {
    begun: Instant,
    kill: Option<Kill>,
    /// It was said that its jobs were found.
    found: bool,
    /// Since when the store does not answer.
    silent: Option<Instant>,
    /// When something was read last, and how much by then.
    read: (Instant, u64),
}

impl Course<'_> {
    /// Until every job has ended, or nothing happens any more.
    pub(super) async fn run(mut self) -> Result<Option<Kill>, Failure> {
        let begun = Instant::now();
        let mut way = Way { begun, kill: None, found: false, silent: None, read: (begun, 0) };
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.heard.ended < self.heard.jobs.len() && self.crew.working() > 0 {
            tokio::select! {
                Some(news) = self.news.recv() => self.hear(news, &mut way)?,
                () = self.crew.news() => {}
                _ = tick.tick() => {
                    self.view.show(&Now::of(self.crew, self.heard));
                    self.kill_one(&mut way).await?;
                    if self.is_stuck(&mut way) {
                        break;
                    }
                }
            }
        }
        self.view.show(&Now::of(self.crew, self.heard));
        Ok(way.kill)
    }

    fn hear(&mut self, news: News, way: &mut Way) -> Result<(), Error> {
        match news {
            Ok((event, at)) => {
                way.silent = None;
                self.heard.take(&event, at);
                Ok(())
            }
            Err(error) => {
                let since = *way.silent.get_or_insert_with(Instant::now);
                if error.is_unreachable() && since.elapsed() < SILENCE { Ok(()) } else { Err(error) }
            }
        }
    }

    /// Kills the worker that holds the most long jobs, when these have been held for a while.
    async fn kill_one(&mut self, way: &mut Way) -> Result<(), Failure> {
        if way.kill.is_some() {
            self.tell_found(way);
            return Ok(());
        }
        let after = way.begun.elapsed();
        let Some(place) = self.crew.busiest().filter(|_| after > self.terms.hold * 3 / 10) else { return Ok(()) };
        let at = Instant::now();
        self.crew.kill(place).await;
        let member = &self.crew.members[place];
        let active = self.stage.queue.locks(MOST_HELD).await?;
        let its = active.into_iter().filter(|job| job.worker.as_deref() == Some(&member.name));
        let held: Vec<JobId> = its.map(|job| job.id).collect();
        let (name, pid, count) = (&member.name, member.pid, output::counted(held.len(), "job"));
        self.view.say(&format!("{name} (process {pid}) is killed by KILL while it holds {count}"));
        way.kill = Some(Kill { place, at, after, held });
        Ok(())
    }

    /// Says it once, when all the jobs that the killed worker held were found by others.
    fn tell_found(&mut self, way: &mut Way) {
        let Some(kill) = way.kill.as_ref().filter(|_| !way.found) else { return };
        let stalled = kill.held.iter().filter(|id| self.heard.of(id).is_some_and(|job| job.stalled.is_some())).count();
        if stalled == kill.held.len() {
            way.found = true;
            let (name, after) = (&self.crew.members[kill.place].name, output::span(kill.at.elapsed()));
            let (were, run) = if stalled == 1 { ("was", "runs") } else { ("were", "run") };
            let jobs = output::counted(stalled, "job");
            self.view.say(&format!("the {jobs} of {name} {were} found {after} later, and {run} again"));
        }
    }

    fn is_stuck(&self, way: &mut Way) -> bool {
        let read = self.crew.members.iter().map(|member| member.last.bytes).sum();
        if read != way.read.1 {
            way.read = (Instant::now(), read);
        }
        let last = self.heard.last.map_or(way.read.0, |heard| heard.max(way.read.0));
        last.elapsed() > PATIENCE + self.terms.hold
    }
}
