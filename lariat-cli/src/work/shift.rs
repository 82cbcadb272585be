//! From the start of the workers to their end: signals, trouble with the store, drained queues, and the exit status.

use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use lariat::{Closed, Store, WorkerEvent};
use tokio::sync::{Notify, mpsc};

use super::crew::{self, Crew};
use super::gate::Gate;
use super::report::Report;
use super::signals::{Request, Signals};
use crate::args::WorkArgs;
use crate::failure::{Failure, status};

/// How often the live line is brought up to date, and pauses are looked at.
const TICK: Duration = Duration::from_millis(250);

/// How long that look may still take when the workers have ended without it.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// One process's work.
pub(crate) struct Shift {
    crew: Crew,
    gate: Arc<Gate>,
    report: Arc<Report>,
    /// How often somebody asked for the end.
    stops: u32,
    closing: bool,
    /// Why it cannot go on, when it cannot.
    failure: Option<Failure>,
    store: StoreState,
}

/// Whether the store answers, as far as it has been said.
#[derive(Debug, Default)]
struct StoreState {
    /// The workers that miss it, by their place; the first look at the start has a place behind them.
    missed_by: BTreeSet<usize>,
}

impl Shift {
    pub(crate) fn new(crew: Crew, gate: Arc<Gate>, report: Arc<Report>) -> Shift {
        Shift { crew, gate, report, stops: 0, closing: false, failure: None, store: StoreState::default() }
    }

    pub(crate) async fn run(
        mut self,
        store: Store,
        args: WorkArgs,
        mut signals: Signals,
        mut said: mpsc::UnboundedReceiver<(usize, WorkerEvent)>,
    ) -> Result<u8, Failure> {
        let nudge = Arc::new(Notify::new());
        let mut stopped = pin!(Crew::stopped(self.crew.workers()));
        let mut drained = maybe(args.exit_when_drained, Crew::drained(self.crew.looks(), Arc::clone(&nudge)));
        let (lost, mut first_look) = mpsc::unbounded_channel();
        let mut reached =
            Some(Box::pin(async move { crew::reach(&store, |error| drop(lost.send(error.to_owned()))).await }));
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ended = loop {
            tokio::select! {
                biased;
                request = signals.next() => self.asked(request, args.grace),
                ended = &mut stopped => break ended,
                answer = if_some(&mut reached) => {
                    reached = None;
                    match answer {
                        Ok(()) => self.found(self.crew.members.len()),
                        Err(failure) => self.give_up(failure, Duration::ZERO),
                    }
                }
                Some(error) = first_look.recv() => self.missed(self.crew.members.len(), &error),
                Some((place, event)) = said.recv() => self.heard(place, event, &nudge, args.grace),
                () = if_some(&mut drained) => {
                    drained = None;
                    tracing::info!(target: "work", "drained");
                    self.close(args.grace);
                }
                _ = tick.tick() => {
                    self.gate.turn();
                    self.report.tick(self.crew.now());
                }
            }
        };
        // What the workers said last is still on its way.
        while let Ok((place, event)) = said.try_recv() {
            self.heard(place, event, &nudge, args.grace);
        }
        // A worker that may not work ends by itself; the first look knows whether that is a matter of the password.
        if self.failure.is_none()
            && reached.is_some()
            && ended.iter().any(|closed| closed.why.is_some())
            && let Ok(Err(failure)) = tokio::time::timeout(LAST_LOOK, if_some(&mut reached)).await
        {
            self.failure = Some(failure);
        }
        self.report.end();
        self.judge(&ended)
    }

    fn asked(&mut self, request: Request, grace: Duration) {
        match request {
            Request::Stop(signal) => {
                self.stops += 1;
                match self.stops {
                    1 => {
                        let active = self.crew.now().active;
                        tracing::info!(target: "work", active, ?grace, "stopping: no new jobs; a second signal ends the commands");
                        self.close(grace);
                    }
                    2 => {
                        tracing::warn!(target: "work", "ending the commands now; a third signal exits at once");
                        self.crew.close(Duration::ZERO);
                    }
                    // The helper sees the pipe close and kills the commands; the jobs are found stalled.
                    _ => std::process::exit(128 + i32::from(signal)),
                }
            }
            Request::Quiet => {
                tracing::info!(target: "work", "quiet: no new jobs until CONT");
                self.gate.quiet();
            }
            Request::Resume => {
                if self.gate.resume() {
                    tracing::info!(target: "work", "going on");
                }
            }
            Request::Status => self.crew.status(),
        }
    }

    fn close(&mut self, grace: Duration) {
        if !self.closing {
            self.closing = true;
            self.crew.close(grace);
        }
    }

    fn give_up(&mut self, failure: Failure, grace: Duration) {
        self.failure.get_or_insert(failure);
        self.close(grace);
    }

    fn heard(&mut self, place: usize, event: WorkerEvent, nudge: &Notify, grace: Duration) {
        match event {
            WorkerEvent::StoreLost { error, .. } => self.missed(place, &error),
            WorkerEvent::StoreBack => self.found(place),
            WorkerEvent::Drained => nudge.notify_one(),
            // One that ended by itself takes the others along: whoever started us expects all queues to be worked on.
            WorkerEvent::Stopped { .. } => self.close(grace),
            event => {
                let queue = self.crew.members.get(place).map(|member| member.queue.name().as_str());
                crew::tell(&self.report, queue.unwrap_or_default(), event);
            }
        }
    }

    fn missed(&mut self, place: usize, error: &str) {
        let first = self.store.missed_by.is_empty();
        self.store.missed_by.insert(place);
        if first {
            tracing::warn!(target: "work", error, "the store fails or does not answer; trying again until it does");
        }
    }

    fn found(&mut self, place: usize) {
        if self.store.missed_by.remove(&place) && self.store.missed_by.is_empty() {
            tracing::info!(target: "work", "the store answers again");
        }
    }

    /// The exit status of a process whose workers have ended.
    fn judge(self, ended: &[Closed]) -> Result<u8, Failure> {
        let all = |count: fn(&Closed) -> usize| ended.iter().map(count).sum::<usize>();
        let (handed_back, unsettled) = (all(|closed| closed.handed_back), all(|closed| closed.unsettled));
        let still_running = all(|closed| closed.still_running);
        if handed_back > 0 {
            tracing::warn!(target: "work", jobs = handed_back, "handed back");
        }
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if let Some(why) = ended.iter().find_map(|closed| closed.why.as_ref()) {
            return Err(Failure::from(why));
        }
        if unsettled > 0 {
            return Err(Failure::unreachable(format!(
                "the store did not answer: {unsettled} jobs could not be handed in; they run again once their locks lapse"
            )));
        }
        if still_running > 0 {
            return Err(Failure::failed(format!("{still_running} commands could not be ended")));
        }
        Ok(if handed_back > 0 { status::HANDED_BACK } else { status::DONE })
    }
}

fn maybe<F: Future>(wanted: bool, future: F) -> Option<Pin<Box<F>>> {
    wanted.then(|| Box::pin(future))
}

/// The future's answer; never, where there is none.
async fn if_some<F: Future>(future: &mut Option<Pin<Box<F>>>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
