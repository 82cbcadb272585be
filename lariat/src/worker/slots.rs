//! What runs, what is done, what to ask the store next, what to wait for. Pure: time comes as an argument, and nothing
//! here awaits, sends or spawns.
//!
//! Inputs are [`started`](Slots::started), [`ended`](Slots::ended), [`answered`](Slots::answered),
//! [`hinted`](Slots::hinted) and [`woken`](Slots::woken); [`ask`](Slots::ask), [`wait`](Slots::wait) and
//! [`wake_at`](Slots::wake_at) say what to do.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::store::exchange::{Hint, MOST_OUTCOMES, MOST_TAKEN, Settle, Transition, Woken};
use crate::time::Timestamp;

/// How long an idle worker waits for the marker when it knows of nothing that is due (BullMQ's `drainDelay`).
pub(super) const IDLE: Duration = Duration::from_secs(5);
/// The longest wait when the next due time is known.
pub(super) const IDLE_DUE: Duration = Duration::from_secs(10);
/// The longest pause under a rate limit (BullMQ's `maximumRateLimitDelay`).
const LONGEST_LIMIT: Duration = Duration::from_secs(30);

/// One run of one job in this worker; grows by one with each job taken, and is the last part of the job's token.
pub(super) type RunId = u64;

/// A run whose handler has ended, to be handed in.
#[derive(Debug)]
pub(super) struct Done {
    pub run: RunId,
    pub settle: Settle,
}

/// One exchange to make.
#[derive(Debug, Default)]
pub(super) struct Ask {
    pub outcomes: Vec<Done>,
    pub want: usize,
    /// The last exchange of a closing worker, which may have popped a marker.
    pub wake_another: bool,
}

/// Whether new jobs may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Working,
    /// No new jobs; those that run go on.
    Quiet,
    /// No new jobs, and the end when those that run have been handed in.
    Closing,
}

/// When to look for jobs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Now,
    /// When the marker comes, or at the latest after [`IDLE`].
    Marker,
    /// When the marker comes, or a delayed job is due.
    Due(Instant),
    /// Not before the rate limit is over.
    Limited(Instant),
}

#[derive(Debug)]
pub(super) struct Slots {
    concurrency: usize,
    phase: Phase,
    running: HashSet<RunId>,
    done: VecDeque<Done>,
    /// Put-backs of a closing worker, kept until no handler runs, so that they go back in reverse order of start.
    held_back: Vec<Done>,
    in_flight: bool,
    waiting: bool,
    look: Look,
    /// A wait was cut short by closing, or popped a marker that led to no exchange.
    owes_marker: bool,
    /// Unanswered at this moment: outcomes of the exchange in flight.
    unanswered: usize,
}

impl Slots {
    pub(super) fn new(concurrency: usize) -> Slots {
        Slots {
            concurrency,
            phase: Phase::Working,
            running: HashSet::new(),
            done: VecDeque::new(),
            held_back: Vec::new(),
            in_flight: false,
            waiting: false,
            look: Look::Now,
            owes_marker: false,
            unanswered: 0,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Sets the phase. Going on after a quiet time looks for jobs at once; closing is final.
    pub(super) fn set_phase(&mut self, phase: Phase) {
        if self.phase == Phase::Closing || self.phase == phase {
            return;
        }
        if phase == Phase::Working {
            self.look = Look::Now;
        } else if self.waiting && phase == Phase::Closing {
            self.owes_marker = true;
        }
        self.phase = phase;
    }

    pub(super) fn set_concurrency(&mut self, concurrency: usize) {
        if concurrency > self.concurrency {
            self.look = Look::Now;
        }
        self.concurrency = concurrency;
    }

    /// A job was taken; it occupies a slot until it has ended.
    pub(super) fn started(&mut self, run: RunId) {
        self.running.insert(run);
    }

    /// A handler has ended, with an outcome to hand in, or with none (its lock is gone).
    pub(super) fn ended(&mut self, run: RunId, settle: Option<Settle>) {
        self.running.remove(&run);
        let Some(settle) = settle else { return };
        let done = Done { run, settle };
        if self.phase == Phase::Closing && matches!(done.settle.to, Transition::PutBack) {
            self.held_back.push(done);
        } else {
            self.done.push_back(done);
        }
    }

    /// The exchange in flight was answered.
    pub(super) fn answered(&mut self, taken: usize, wanted: usize, hint: Hint, now: Instant, wall: Timestamp) {
        self.in_flight = false;
        self.unanswered = 0;
        if wanted == 0 {
            return;
        }
        if taken >= wanted {
            self.look = Look::Now;
        } else {
            self.hinted(hint, now, wall);
        }
    }

    fn hinted(&mut self, hint: Hint, now: Instant, wall: Timestamp) {
        self.look = match hint {
            Hint::Again => Look::Now,
            Hint::DueAt(due) => Look::Due(now + due.since(wall)),
            Hint::LimitedFor(time) => Look::Limited(now + time.min(LONGEST_LIMIT)),
            Hint::Paused | Hint::Wait => Look::Marker,
        };
    }

    /// The wait ended. A wait that failed reads as timed out: the exchange that follows finds out what is the matter.
    pub(super) fn woken(&mut self, woken: Woken, now: Instant, wall: Timestamp) {
        self.waiting = false;
        match (woken, self.look) {
            // The marker was for whoever takes jobs; when that is not us any more, another one has to be woken.
            (Woken::Ready, _) if self.phase != Phase::Working => self.owes_marker = true,
            (_, Look::Limited(_)) => {}
            (Woken::DueAt(due), look) => {
                let at = now + due.since(wall);
                self.look = match look {
                    Look::Due(known) if known < at => look,
                    _ => Look::Due(at),
                };
            }
            (Woken::Ready | Woken::TimedOut, _) => self.look = Look::Now,
        }
    }

    /// What to send now, if anything. At most one exchange is in flight.
    pub(super) fn ask(&mut self, now: Instant) -> Option<Ask> {
        if self.in_flight {
            return None;
        }
        if self.phase == Phase::Closing && self.running.is_empty() && !self.held_back.is_empty() {
            self.held_back.sort_by_key(|done| std::cmp::Reverse(done.run));
            self.done.extend(self.held_back.drain(..));
        }
        let outcomes: Vec<Done> = self.done.drain(..self.done.len().min(MOST_OUTCOMES)).collect();
        let want = self.want(now, !outcomes.is_empty());
        let last = self.phase == Phase::Closing && self.running.is_empty() && self.done.is_empty();
        let wake_another = self.owes_marker && (last || self.phase == Phase::Quiet);
        if outcomes.is_empty() && want == 0 && !wake_another {
            return None;
        }
        if wake_another {
            self.owes_marker = false;
        }
        self.in_flight = true;
        self.unanswered = outcomes.len();
        Some(Ask { outcomes, want, wake_another })
    }

    /// How many jobs to take. A call that hands something in asks for more on the way, unless a limit is known.
    fn want(&self, now: Instant, handing_in: bool) -> usize {
        if self.phase != Phase::Working {
            return 0;
        }
        let look = match self.look {
            Look::Now => true,
            Look::Marker => handing_in,
            Look::Due(at) => handing_in || at <= now,
            Look::Limited(until) => until <= now,
        };
        if look { self.free().min(MOST_TAKEN) } else { 0 }
    }

    fn free(&self) -> usize {
        self.concurrency.saturating_sub(self.running.len() + self.done.len())
    }

    /// How long to wait for the marker, if a wait is to be begun now. At most one is under way.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Duration> {
        if self.waiting || self.in_flight || self.phase != Phase::Working || self.free() == 0 {
            return None;
        }
        let longest = match self.look {
            Look::Now | Look::Limited(_) => return None,
            Look::Marker => IDLE,
            Look::Due(at) => at.saturating_duration_since(now).min(IDLE_DUE),
        };
        if longest.is_zero() {
            return None;
        }
        self.waiting = true;
        Some(longest)
    }

    /// When to think again even if nothing happens.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        if self.in_flight || self.phase != Phase::Working || self.free() == 0 {
            return None;
        }
        match self.look {
            Look::Due(at) | Look::Limited(at) => Some(at),
            Look::Now | Look::Marker => None,
        }
    }

    /// Whether a closing worker has nothing left to do.
    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Closing
            && self.running.is_empty()
            && self.done.is_empty()
            && self.held_back.is_empty()
            && !self.in_flight
            && !self.owes_marker
    }

    /// Whether nothing runs and nothing is to be handed in.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.done.is_empty() && self.held_back.is_empty() && self.unanswered == 0
    }

    /// Gives up on the handlers that still run, so that the rest can be handed in; says how many.
    pub(super) fn abandon(&mut self) -> usize {
        let left = self.running.len();
        self.running.clear();
        left
    }

    /// Outcomes that have not been answered, wherever they are.
    pub(super) fn unsettled(&self) -> usize {
        self.done.len() + self.held_back.len() + self.unanswered
    }
}
