//! What a worker tells people: log lines, or on a terminal a live line below them.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::trouble::Troubles;
use crate::args::LogFormat;
use crate::failure::Failure;
use crate::output;

/// How far back the rate looks.
const RATE_OVER: Duration = Duration::from_secs(10);
/// How often a worker without a terminal says how it is doing, when there is something new.
const SUMMARY_EVERY: Duration = Duration::from_secs(10);

/// Where everything is reported. One for each process: it owns stderr.
#[derive(Debug)]
pub(crate) struct Report {
    live: Option<ProgressBar>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    troubles: Troubles,
    tally: Tally,
    summed_up: (Instant, u64),
}

/// What has been done so far.
#[derive(Debug, Default)]
struct Tally {
    done: u64,
    failed: u64,
    /// Ends of commands, lately: when, and how many there were by then.
    lately: VecDeque<(Instant, u64)>,
}

/// What is running now.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) active: usize,
    pub(crate) smallest_trust: Option<Duration>,
}

impl Report {
    /// Takes over stderr.
    pub(crate) fn start(format: LogFormat) -> Result<Report, Failure> {
        let live = (format == LogFormat::Text && io::stderr().is_terminal()).then(live_line);
        let lines = Lines { live: live.clone(), json: format == LogFormat::Json };
        // The library's own lines are for whoever asks for them; what matters of them is said here, and not too often.
        let asked = std::env::var("RUST_LOG").unwrap_or_else(|_| "off".to_owned());
        let filter = EnvFilter::try_new(format!("{asked},work=info")).or_else(|_| EnvFilter::try_new("off,work=info"));
        let filter = filter.map_err(|e| Failure::failed(format!("cannot set up the log: {e}")))?;
        let colour = live.is_some() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let layer = tracing_subscriber::fmt::layer().with_target(false).with_ansi(colour).with_writer(lines);
        let registry = tracing_subscriber::registry().with(filter);
        let set = match format {
            LogFormat::Text => registry.with(layer).try_init(),
            LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        };
        set.map_err(|e| Failure::failed(format!("cannot set up the log: {e}")))?;
        let inner = Inner { troubles: Troubles::default(), tally: Tally::default(), summed_up: (Instant::now(), 0) };
        Ok(Report { live, inner: Mutex::new(inner) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `say`, at most once a second for each cause, with how often it was not called since it last was, if ever.
    pub(crate) fn trouble(&self, cause: &'static str, say: impl FnOnce(Option<u64>)) {
        let unsaid = self.inner().troubles.may_say(cause, Instant::now());
        if let Some(unsaid) = unsaid {
            say((unsaid > 0).then_some(unsaid));
        }
    }

    pub(crate) fn completed(&self) {
        self.inner().tally.done += 1;
    }

    pub(crate) fn failed(&self) {
        self.inner().tally.failed += 1;
    }

    /// Brings the live line up to date, or says now and then how it goes; and says what was not said for a while.
    pub(crate) fn tick(&self, now: Now) {
        let at = Instant::now();
        let mut inner = self.inner();
        for (cause, unsaid) in inner.troubles.overdue(at) {
            tracing::warn!(target: "work", cause, more = unsaid, "more of the same");
        }
        inner.tally.sample(at);
        let ended = inner.tally.ended();
        if let Some(live) = &self.live {
            live.set_message(inner.tally.line(now, at));
            live.tick();
        } else if ended != inner.summed_up.1 && at.saturating_duration_since(inner.summed_up.0) >= SUMMARY_EVERY {
            inner.summed_up = (at, ended);
            inner.tally.log(now, at);
        }
    }

    /// The last word.
    pub(crate) fn end(&self) {
        if let Some(live) = &self.live {
            live.finish_and_clear();
        }
        let (done, failed) = {
            let inner = self.inner();
            (inner.tally.done, inner.tally.failed)
        };
        tracing::info!(target: "work", done, failed, "stopped");
    }
}

impl Tally {
    fn ended(&self) -> u64 {
        self.done + self.failed
    }

    fn sample(&mut self, now: Instant) {
        while self.lately.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > RATE_OVER) {
            self.lately.pop_front();
        }
        self.lately.push_back((now, self.ended()));
    }

    /// Ends a second, lately.
    fn rate(&self, now: Instant) -> f64 {
        let Some((since, then)) = self.lately.front() else { return 0.0 };
        let seconds = now.saturating_duration_since(*since).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate, to one digit")]
        let ended = (self.ended() - then) as f64;
        if seconds > 0.0 { ended / seconds } else { 0.0 }
    }

    fn line(&self, now: Now, at: Instant) -> String {
        let trust = now.smallest_trust.map_or_else(|| "-".to_owned(), output::span);
        let Tally { done, failed, .. } = self;
        format!("active {} · done {done} · failed {failed} · {:.1}/s · trust left {trust}", now.active, self.rate(at))
    }

    fn log(&self, now: Now, at: Instant) {
        let rate = format!("{:.1}", self.rate(at));
        let trust = now.smallest_trust.map(output::span);
        let (active, done, failed) = (now.active, self.done, self.failed);
        tracing::info!(target: "work", active, done, failed, rate, trust, "so far");
    }
}

fn live_line() -> ProgressBar {
    let live = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        live.set_style(style);
    }
    live
}

/// Writes whole lines to stderr, above the live line where there is one.
#[derive(Debug, Clone)]
struct Lines {
    live: Option<ProgressBar>,
    json: bool,
}

struct Line<'a> {
    to: &'a Lines,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { to: self, text: Vec::with_capacity(256) }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.text.is_empty() {
            return;
        }
        // In text, values are quoted, with what a terminal would obey written out; JSON leaves some of that as it is.
        let text = String::from_utf8_lossy(&self.text);
        let text = if self.to.json { output::one_line(text.trim_end()) + "\n" } else { text.into_owned() };
        // There is nobody to tell when stderr is gone.
        let write = || drop(io::stderr().lock().write_all(text.as_bytes()));
        match &self.to.live {
            Some(live) => live.suspend(write),
            None => write(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_looks_ten_seconds_back() {
        let (mut tally, begin) = (Tally::default(), Instant::now());
        for second in 0..=20 {
            tally.sample(begin + Duration::from_secs(second));
            tally.done += 3;
        }
        let now = begin + Duration::from_secs(20);
        assert!((tally.rate(now) - 3.3).abs() < 0.01, "{}", tally.rate(now));
        let line = tally.line(Now { active: 2, smallest_trust: Some(Duration::from_millis(20_100)) }, now);
        assert_eq!(line, "active 2 · done 63 · failed 0 · 3.3/s · trust left 20.1s");
    }
}
