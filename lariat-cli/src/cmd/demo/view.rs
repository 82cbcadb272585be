//! What is seen while it runs: a live view on a terminal, now and then a line elsewhere. All on stderr.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::crew::{Crew, Fate, Member};
use super::watch::Heard;
use crate::output;

/// How often it is said how far it is where there is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(2);

pub(super) enum View {
    Live(Live),
    Lines {
        /// When it was last said how far it is.
        said: Instant,
    },
}

/// A bar for all the jobs, and below it a line for each worker.
pub(super) struct Live {
    all: MultiProgress,
    bar: ProgressBar,
    workers: Vec<ProgressBar>,
}

/// How far it is.
pub(super) struct Now {
    ended: usize,
    jobs: usize,
    held: u64,
    renewed: u64,
    calls: u64,
    /// A line for each worker.
    workers: Vec<String>,
}

impl Now {
    pub(super) fn of(crew: &Crew, heard: &Heard) -> Now {
        let working = crew.members.iter().filter(|member| member.fate == Fate::Working);
        Now {
            ended: heard.ended,
            jobs: heard.jobs.len(),
            held: working.map(|member| member.last.held).sum(),
            renewed: crew.members.iter().map(|member| member.last.locks.renewed).sum(),
            calls: crew.members.iter().map(|member| member.last.locks.calls).sum(),
            workers: crew.members.iter().map(line).collect(),
        }
    }
}

fn line(member: &Member) -> String {
    let Member { name, pid, last, .. } = member;
    let doing = match &member.fate {
        Fate::Working | Fate::Closed => format!("holds {:>2}", last.held),
        Fate::Killed => "KILLED  ".to_owned(),
        Fate::Died(_) => "ended   ".to_owned(),
    };
    let mut line = format!("{name:9} {pid:>7}  {doing}  done {:>4}", last.completed);
    let _ = write!(line, "  locks renewed {:>4} in {:>3} calls", last.locks.renewed, last.locks.calls);
    if let Some(trust) = last.locks.smallest_trust {
        let _ = write!(line, "  smallest trust {:>3} ms", trust.as_millis());
    }
    line
}

impl View {
    pub(super) fn new() -> View {
        if !io::stderr().is_terminal() {
            return View::Lines { said: Instant::now() };
        }
        let all = MultiProgress::new();
        let bar = all.add(styled(ProgressBar::new(0), "{bar:40} {pos:>4}/{len} {msg}"));
        View::Live(Live { all, bar, workers: Vec::new() })
    }

    /// Something that is worth a line.
    pub(super) fn say(&mut self, words: &str) {
        match self {
            // There is nobody to tell when that fails.
            View::Live(live) => drop(live.all.println(output::shown(words))),
            View::Lines { .. } => output::say(words),
        }
    }

    /// How many files were read directly.
    pub(super) fn read(&mut self, files: u64, of: usize) {
        if let View::Live(live) = self {
            live.bar.set_length(of as u64);
            live.bar.set_message("files read directly");
            live.bar.set_position(files);
        }
    }

    pub(super) fn show(&mut self, now: &Now) {
        match self {
            View::Live(live) => live.show(now),
            View::Lines { said } if said.elapsed() >= SAY_EVERY => {
                *said = Instant::now();
                let Now { ended, jobs, held, renewed, calls, .. } = now;
                output::say(&format!(
                    "{ended} of {jobs} jobs done; {held} in hand, {renewed} locks renewed in {calls} calls"
                ));
            }
            View::Lines { .. } => {}
        }
    }

    /// Takes away what is live.
    pub(super) fn end(&mut self) {
        if let View::Live(live) = self {
            for bar in live.workers.iter().chain([&live.bar]) {
                bar.finish_and_clear();
            }
        }
    }
}

impl Live {
    fn show(&mut self, now: &Now) {
        self.bar.set_length(now.jobs as u64);
        self.bar.set_message("jobs done");
        self.bar.set_position(now.ended as u64);
        while self.workers.len() < now.workers.len() {
            self.workers.push(self.all.add(styled(ProgressBar::new_spinner(), "{msg}")));
        }
        for (bar, line) in self.workers.iter().zip(&now.workers) {
            bar.set_message(line.clone());
            bar.tick();
        }
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
