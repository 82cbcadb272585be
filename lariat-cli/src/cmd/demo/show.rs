//! The demo's acts, one after the other.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::HumanBytes;
use lariat::JobId;
use tokio::sync::mpsc::UnboundedReceiver;

use super::Terms;
use super::course::Course;
use super::crew::Crew;
use super::digest::{Direct, Pass};
use super::evidence::{self, Seen};
use super::files::{Found, MOST};
use super::report::Report;
use super::stage::Stage;
use super::task::{Task, long_ones};
use super::view::View;
use super::watch::{self, Heard, News};
use crate::args::DemoArgs;
use crate::failure::Failure;
use crate::output;

/// How often the view is brought up to date while the files are read directly.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the workers may take to start.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long the last events may take to be heard.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// One performance.
pub(super) struct Show {
    terms: Terms,
    files: Arc<Found>,
    pass: Arc<Pass>,
    crew: Option<Crew>,
}

impl Show {
    pub(super) fn new(terms: Terms, files: Found) -> Show {
        Show { terms, files: Arc::new(files), pass: Arc::default(), crew: None }
    }

    /// Plays it to its end. It may be dropped before; then [`end`](Self::end) ends the workers.
    pub(super) async fn play(
        &mut self,
        stage: &Stage,
        args: &DemoArgs,
        view: &mut View,
    ) -> Result<Box<Report>, Failure> {
        view.say(&opening(&self.files, &args.dir));
        let direct = self.read_directly(view).await?;
        let bytes = self.pass.bytes.load(Ordering::Relaxed);
        if direct.iter().all(|file| file.digest.is_err()) {
            return Err(Failure::failed(format!("none of the {} files can be read: nothing to hash", direct.len())));
        }
        let mut news = watch::listen(&stage.store, stage.queue.name().as_str()).await?;
        let terms = self.terms;
        let Terms { workers, concurrency, lock, .. } = terms;
        view.say(&format!(
            "on {}; {workers} workers, {concurrency} jobs each at a time, locks of {lock:?}",
            stage.store
        ));
        let crew = self.crew.insert(Crew::start(terms.workers, |name| stage.orders(name, &terms)).await?);
        ready(crew).await?;
        let begun = Instant::now();
        let long = self.long(&direct);
        let ids = self.add(stage, &long).await?;
        let (took, slow) = (begun.elapsed().as_secs_f64(), long.iter().filter(|long| **long).count());
        view.say(&format!("{} added in {took:.2}s, {slow} of them long", output::counted(ids.len(), "job")));
        let mut heard = Heard::default();
        heard.expect(&ids);
        let crew = self.crew.as_mut().ok_or_else(|| Failure::failed("there are no workers"))?;
        let kill = Course { stage, terms, crew, heard: &mut heard, news: &mut news, view }.run().await?;
        let took = begun.elapsed();
        crew.close().await;
        listen_to_the_end(stage, &mut heard, &mut news).await?;
        let seen = Seen { ids, long, direct, heard, kill, took, bytes };
        let evidence = evidence::gather(&stage.queue, &self.files.files, crew, &seen, terms.hold).await?;
        Ok(Box::new(Report::new(stage, args, &self.terms, &self.files, crew, &seen, &evidence)))
    }

    /// Ends what still runs.
    pub(super) async fn end(&mut self) {
        self.pass.stop.store(true, Ordering::Relaxed);
        if let Some(crew) = &mut self.crew {
            crew.end().await;
        }
    }

    /// Hashes all files with no queue about: what the jobs are to find as well.
    async fn read_directly(&self, view: &mut View) -> Result<Vec<Direct>, Failure> {
        let (pass, files) = (Arc::clone(&self.pass), Arc::clone(&self.files));
        let begun = Instant::now();
        let mut reading = tokio::task::spawn_blocking(move || pass.over(&files.files));
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let direct = loop {
            tokio::select! {
                direct = &mut reading => break direct.map_err(|e| Failure::failed(e.to_string()))?,
                _ = looks.tick() => view.read(self.pass.files.load(Ordering::Relaxed), self.files.files.len()),
            }
        };
        let bytes = HumanBytes(self.pass.bytes.load(Ordering::Relaxed));
        view.say(&format!("read directly, for comparison: {bytes} in {:.2}s", begun.elapsed().as_secs_f64()));
        Ok(direct)
    }

    /// Which files take their time: only such as can be read.
    fn long(&self, direct: &[Direct]) -> Vec<bool> {
        let readable = direct.iter().filter(|file| file.digest.is_ok()).count();
        let is_long = long_ones(readable, self.terms.long_each * self.terms.workers);
        let mut place = 0;
        let mut next = || {
            place += 1;
            is_long(place - 1)
        };
        direct.iter().map(|file| file.digest.is_ok() && next()).collect()
    }

    async fn add(&self, stage: &Stage, long: &[bool]) -> Result<Vec<JobId>, Failure> {
        let hold = self.terms.hold;
        let files = self.files.files.iter().zip(long);
        Ok(stage.queue.add_bulk(files.map(|(file, long)| Task::new(file, long.then_some(hold)).job())).await?)
    }
}

fn opening(found: &Found, dir: &Path) -> String {
    let skipped = found.skipped.words();
    let first = if found.more { format!(", the first {MOST} of more") } else { String::new() };
    let skipped = if skipped.is_empty() { String::new() } else { format!(" (passed over: {skipped})") };
    format!("{} files below {}{first}{skipped}", found.files.len(), dir.display())
}

async fn ready(crew: &mut Crew) -> Result<(), Failure> {
    let all_ready = async {
        while !crew.are_ready() && crew.working() == crew.members.len() {
            crew.news().await;
        }
    };
    let in_time = tokio::time::timeout(READY_WITHIN, all_ready).await.is_ok();
    if crew.are_ready() {
        return Ok(());
    }
    let why = if in_time { "a worker ended as it started" } else { "the workers did not start in time" };
    Err(Failure::failed(why))
}

/// Hears what was told last.
async fn listen_to_the_end(
    stage: &Stage,
    heard: &mut Heard,
    news: &mut UnboundedReceiver<News>,
) -> Result<(), Failure> {
    let end = watch::end(&stage.store, stage.queue.name().as_str()).await?;
    let all = async {
        while !heard.has_heard(&end) {
            match news.recv().await {
                Some(Ok((event, at))) => heard.take(&event, at),
                Some(Err(_)) => {}
                None => break,
            }
        }
    };
    // What is not heard in time is missing in the evidence, and judged.
    let _ = tokio::time::timeout(HEARD_WITHIN, all).await;
    Ok(())
}
