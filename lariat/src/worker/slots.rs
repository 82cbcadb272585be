//! What runs, what is done, what to ask the store next, what to wait for. Pure: time comes as an argument, and nothing
//! here awaits, sends or spawns.
//!
//! Inputs are [`started`](Slots::started), [`ended`](Slots::ended), [`answered`](Slots::answered),
//! [`hinted`](Slots::hinted) and [`woken`](Slots::woken); [`ask`](Slots::ask), [`wait`](Slots::wait) and
//! [`wake_at`](Slots::wake_at) say what to do.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::store::exchange::{Hint, MOST_OUTCOME_BYTES, MOST_OUTCOMES, MOST_TAKEN, Settle, Transition, Woken};
use crate::time::Timestamp;

/// How long an idle worker waits for the marker when it knows of nothing that is due (BullMQ's `drainDelay`).
pub(super) const IDLE: Duration = Duration::from_secs(5);
/// The longest wait when the next due time is known.
pub(super) const IDLE_DUE: Duration = Duration::from_secs(10);
/// The longest pause under a rate limit (BullMQ's `maximumRateLimitDelay`).
const LONGEST_LIMIT: Duration = Duration::from_secs(30);

/// How many calls may be in flight at a time, each in a lane of its own: while the store works on one, the answer of the
/// other is read and its handlers run.
pub(super) const LANES: usize = 2;
/// What a call carries before another one overlaps it: below that, one larger call costs the store less.
const LEAST_SHARE: usize = 8;

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
    pub lane: usize,
    pub outcomes: Vec<Done>,
    pub want: usize,
    /// The worker has popped a marker, or may have, and takes no job for it.
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

/// A call that has not been answered.
#[derive(Debug, Clone, Copy)]
struct Flight {
    outcomes: usize,
    want: usize,
    /// Slots of jobs that run on where they have no child to wait for.
    undecided: usize,
    /// A marker came meanwhile. The call may have looked before there was work: that it found none says nothing.
    outdated: bool,
}

#[derive(Debug)]
pub(super) struct Slots {
    concurrency: usize,
    phase: Phase,
    running: HashSet<RunId>,
    done: VecDeque<Done>,
    /// Put-backs of a closing worker, kept until no handler runs, so that they go back in reverse order of start.
    held_back: Vec<Done>,
    flights: [Option<Flight>; LANES],
    waiting: bool,
    look: Look,
    /// A wait was cut short by closing, or popped a marker that led to no exchange.
    owes_marker: bool,
}

impl Slots {
    pub(super) fn new(concurrency: usize) -> Slots {
        Slots {
            concurrency,
            phase: Phase::Working,
            running: HashSet::new(),
            done: VecDeque::new(),
            held_back: Vec::new(),
            flights: [None; LANES],
            waiting: false,
            look: Look::Now,
            owes_marker: false,
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
        match phase {
            Phase::Working => self.look = Look::Now,
            // A wait that is cut short may have popped the marker; one that has just ended may have as well, and the
            // exchange that it was to lead to is not made any more.
            Phase::Closing => self.owes_marker |= self.waiting || self.has_popped(),
            Phase::Quiet => self.owes_marker |= self.has_popped() && !self.waiting,
        }
        self.phase = phase;
    }

    /// Whether it may have popped a marker that no call has followed.
    fn has_popped(&self) -> bool {
        self.look == Look::Now && self.flights.iter().flatten().all(|flight| flight.outdated)
    }

    fn in_flight(&self) -> bool {
        self.flights.iter().any(Option::is_some)
    }

    pub(super) fn concurrency(&self) -> usize {
        self.concurrency
    }

    pub(super) fn set_concurrency(&mut self, concurrency: usize) {
        if concurrency > self.concurrency {
            self.look = Look::Now;
        }
        self.concurrency = concurrency;
    }

    /// Every slot is taken by a running job, or waits for an answer: nothing is to be handed in, or could be taken.
    pub(super) fn is_full(&self) -> bool {
        self.done.is_empty() && self.free() == 0
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

    /// The call in this lane was answered.
    pub(super) fn answered(&mut self, lane: usize, taken: usize, hint: Hint, now: Instant, wall: Timestamp) {
        let Some(Flight { want, outdated, .. }) = self.flights.get_mut(lane).and_then(Option::take) else { return };
        if want == 0 {
            return;
        }
        let nothing_there = matches!(hint, Hint::Wait | Hint::Paused | Hint::DueAt(_));
        if taken >= want || (outdated && nothing_there) {
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
        if woken == Woken::Ready {
            self.flights.iter_mut().flatten().for_each(|flight| flight.outdated = true);
        }
        match (woken, self.look) {
            // The marker was for whoever takes jobs; when that is not us any more, another one has to be woken.
            (Woken::Ready, _) if self.phase != Phase::Working || self.free() == 0 => self.owes_marker = true,
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

    /// What to send now, if anything; to be asked again until there is nothing.
    pub(super) fn ask(&mut self, now: Instant) -> Option<Ask> {
        let lane = self.open_lane()?;
        if self.phase == Phase::Closing && self.running.is_empty() && !self.held_back.is_empty() {
            self.held_back.sort_by_key(|done| std::cmp::Reverse(done.run));
            self.done.extend(self.held_back.drain(..));
        }
        let most = if self.phase == Phase::Working { self.share() } else { MOST_OUTCOMES };
        let outcomes: Vec<Done> = self.done.drain(..self.fitting(most)).collect();
        let undecided = outcomes.iter().filter(|done| matches!(done.settle.to, Transition::WaitForChildren)).count();
        let want = self.want(now, !outcomes.is_empty(), undecided);
        let last = self.phase == Phase::Closing && self.running.is_empty() && self.done.is_empty();
        let others_turn = match self.phase {
            Phase::Working => self.free() == 0,
            Phase::Quiet => true,
            Phase::Closing => last,
        };
        let wake_another = self.owes_marker && others_turn;
        if outcomes.is_empty() && want == 0 && !wake_another {
            return None;
        }
        // A call that takes jobs leaves a marker for what it leaves.
        if wake_another || want > 0 {
            self.owes_marker = false;
        }
        if undecided > 0 && !matches!(self.look, Look::Limited(_)) {
            // The slots that were held back have to be filled once it is known whether they are free.
            self.look = Look::Now;
        }
        if let Some(flight) = self.flights.get_mut(lane) {
            *flight = Some(Flight { outcomes: outcomes.len(), want, undecided, outdated: false });
        }
        Some(Ask { lane, outcomes, want, wake_another })
    }

    /// The lane of the next call, if there may be one. A second call overlaps the first only while jobs end so fast that
    /// it has a share of its own to carry; and not when closing, where the order of the calls is that of the queue.
    fn open_lane(&self) -> Option<usize> {
        let overlaps = self.phase == Phase::Working && self.done.len() >= self.share() / 2;
        if self.in_flight() && !overlaps {
            return None;
        }
        self.flights.iter().position(Option::is_none)
    }

    /// Most outcomes of one call: those of half of the slots, so that there are two calls' worth.
    fn share(&self) -> usize {
        self.concurrency.div_ceil(LANES).clamp(LEAST_SHARE, MOST_OUTCOMES)
    }

    /// How many jobs to take. A call that hands something in asks for more on the way, unless a limit is known. Jobs that
    /// are to wait for their children keep their slots until the answer: they run on where there is none to wait for.
    fn want(&self, now: Instant, handing_in: bool, undecided: usize) -> usize {
        if self.phase != Phase::Working {
            return 0;
        }
        let look = match self.look {
            Look::Now => true,
            Look::Marker => handing_in,
            Look::Due(at) => handing_in || at <= now,
            Look::Limited(until) => until <= now,
        };
        if look { self.free().saturating_sub(undecided).min(MOST_TAKEN) } else { 0 }
    }

    /// How many of the outcomes, at most so many, one call carries.
    fn fitting(&self, most: usize) -> usize {
        let mut bytes = 0;
        let fits = |done: &&Done| {
            bytes += done.settle.to.size();
            bytes <= MOST_OUTCOME_BYTES
        };
        let count = self.done.iter().take(most).take_while(fits).count();
        count.max(self.done.len().min(1))
    }

    fn free(&self) -> usize {
        let asked: usize = self.flights.iter().flatten().map(|flight| flight.want + flight.undecided).sum();
        self.concurrency.saturating_sub(self.running.len() + self.done.len() + asked)
    }

    /// How long to wait for the marker, if a wait is to be begun now. At most one is under way.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Duration> {
        if self.waiting || self.in_flight() || self.phase != Phase::Working || self.free() == 0 {
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
        if self.in_flight() || self.phase != Phase::Working || self.free() == 0 {
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
            && !self.in_flight()
            && !self.owes_marker
    }

    /// Whether nothing runs and nothing is to be handed in.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.done.is_empty() && self.held_back.is_empty() && self.unanswered() == 0
    }

    /// Gives up on the handlers that still run, so that the rest can be handed in; says how many.
    pub(super) fn abandon(&mut self) -> usize {
        let left = self.running.len();
        self.running.clear();
        left
    }

    /// Outcomes that have not been answered, wherever they are.
    pub(super) fn unsettled(&self) -> usize {
        self.done.len() + self.held_back.len() + self.unanswered()
    }

    fn unanswered(&self) -> usize {
        self.flights.iter().flatten().map(|flight| flight.outcomes).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::id::JobId;
    use crate::store::exchange::DelayedAttempt;

    const WALL: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn settle(run: RunId, to: Transition) -> Settle {
        Settle { id: JobId::existing(run.to_string()).unwrap(), token: format!("lane:{run}").into(), to }
    }

    /// An outcome like any other.
    fn later(run: RunId) -> Settle {
        settle(run, Transition::Delay { delay: Duration::ZERO, attempt: DelayedAttempt::NotUsed })
    }

    fn runs(ask: &Ask) -> Vec<RunId> {
        ask.outcomes.iter().map(|done| done.run).collect()
    }

    /// Asks, and answers that `taken` came and then nothing more.
    fn exchange(slots: &mut Slots, now: Instant, taken: std::ops::Range<RunId>, hint: Hint) -> Ask {
        let ask = slots.ask(now).expect("an exchange was due");
        slots.answered(ask.lane, taken.clone().count(), hint, now, WALL);
        taken.for_each(|run| slots.started(run));
        ask
    }

    #[test]
    fn a_lone_job_costs_one_exchange_to_take_and_one_to_hand_in() {
        let now = Instant::now();
        let mut slots = Slots::new(1);
        exchange(&mut slots, now, 0..0, Hint::Wait);
        assert_eq!(slots.wait(now), Some(IDLE));
        assert!(slots.ask(now).is_none(), "waiting, not polling");
        slots.woken(Woken::Ready, now, WALL);
        assert_eq!(exchange(&mut slots, now, 1..2, Hint::Wait).want, 1);
        assert!(slots.ask(now).is_none() && slots.wait(now).is_none(), "no free slot: nothing to do");
        slots.ended(1, Some(later(1)));
        let ask = exchange(&mut slots, now, 0..0, Hint::Wait);
        assert_eq!((runs(&ask), ask.want), (vec![1], 1));
        assert!(slots.ask(now).is_none());
        assert_eq!(slots.wait(now), Some(IDLE));
    }

    #[test]
    fn what_ends_during_an_exchange_rides_in_the_next() {
        let now = Instant::now();
        let mut slots = Slots::new(4);
        exchange(&mut slots, now, 1..5, Hint::Again);
        slots.ended(1, Some(later(1)));
        let first = slots.ask(now).unwrap();
        assert_eq!((runs(&first), first.want), (vec![1], 1));
        slots.ended(2, Some(later(2)));
        slots.ended(3, Some(later(3)));
        assert!(slots.ask(now).is_none(), "one call in flight");
        slots.answered(first.lane, 0, Hint::Wait, now, WALL);
        let second = slots.ask(now).unwrap();
        assert_eq!((runs(&second), second.want), (vec![2, 3], 3));
    }

    #[test]
    fn large_outcomes_do_not_all_ride_in_one_call() {
        let now = Instant::now();
        let mut slots = Slots::new(6);
        exchange(&mut slots, now, 1..7, Hint::Again);
        let value = serde_json::value::to_raw_value(&"x".repeat(MOST_OUTCOME_BYTES / 2)).unwrap();
        for run in 1..6 {
            let value = value.clone();
            slots.ended(run, Some(settle(run, Transition::Complete { value, keep: crate::job::Keep::ALL })));
        }
        let mut calls = Vec::new();
        while let Some(ask) = slots.ask(now) {
            slots.answered(ask.lane, 0, Hint::Wait, now, WALL);
            if !ask.outcomes.is_empty() {
                calls.push(runs(&ask).len());
            }
        }
        assert_eq!(calls, [1; 5], "each has more than half of what one call carries");
    }

    #[test]
    fn many_that_end_at_once_ride_in_two_calls_that_overlap() {
        let now = Instant::now();
        let mut slots = Slots::new(50);
        exchange(&mut slots, now, 1..51, Hint::Again);
        assert!(slots.is_full());
        (1..51).for_each(|run| slots.ended(run, Some(later(run))));
        let (first, second) = (slots.ask(now).unwrap(), slots.ask(now).unwrap());
        assert_ne!(first.lane, second.lane);
        assert_eq!((runs(&first), first.want), ((1..26).collect(), 25));
        assert_eq!((runs(&second), second.want), ((26..51).collect(), 25));
        assert!(slots.is_full() && slots.ask(now).is_none());
        // The one that was sent later is answered first: its slots are filled, those of the other are still asked for.
        slots.answered(second.lane, 25, Hint::Again, now, WALL);
        (51..76).for_each(|run| slots.started(run));
        assert!(slots.is_full());
        assert!(slots.ask(now).is_none());
    }

    #[test]
    fn a_few_that_end_during_a_call_wait_for_its_answer() {
        let now = Instant::now();
        let mut slots = Slots::new(50);
        exchange(&mut slots, now, 1..51, Hint::Again);
        slots.ended(1, Some(later(1)));
        let first = slots.ask(now).unwrap();
        (2..14).for_each(|run| slots.ended(run, Some(later(run))));
        let second = slots.ask(now).map(|ask| ask.outcomes.len());
        assert_eq!(second, Some(12), "a share of their own");
        slots.ended(14, Some(later(14)));
        assert!(slots.ask(now).is_none(), "no lane is left");
        slots.answered(first.lane, 1, Hint::Again, now, WALL);
        slots.started(51);
        assert!(slots.ask(now).is_none(), "one is no share: it waits for the other call's answer");
    }

    #[test]
    fn a_marker_that_comes_during_a_call_outdates_its_answer() {
        let now = Instant::now();
        let mut slots = Slots::new(2);
        exchange(&mut slots, now, 1..2, Hint::Wait);
        assert_eq!(slots.wait(now), Some(IDLE));
        slots.ended(1, Some(later(1)));
        let ask = slots.ask(now).unwrap();
        assert_eq!(ask.want, 2);
        slots.woken(Woken::Ready, now, WALL);
        slots.answered(ask.lane, 0, Hint::Wait, now, WALL);
        assert_eq!(slots.ask(now).map(|ask| ask.want), Some(2), "it looked before the job was there");
    }

    #[test]
    fn closing_makes_up_for_a_marker_that_came_during_a_call() {
        let now = Instant::now();
        let mut slots = Slots::new(2);
        exchange(&mut slots, now, 1..2, Hint::Wait);
        slots.wait(now);
        slots.ended(1, Some(later(1)));
        let ask = slots.ask(now).unwrap();
        slots.woken(Woken::Ready, now, WALL);
        slots.set_phase(Phase::Closing);
        slots.answered(ask.lane, 0, Hint::Wait, now, WALL);
        assert!(slots.ask(now).unwrap().wake_another);
    }

    #[test]
    fn a_job_that_may_have_to_run_on_keeps_its_slot_until_the_answer() {
        let now = Instant::now();
        let mut slots = Slots::new(2);
        exchange(&mut slots, now, 1..3, Hint::Wait);
        slots.ended(1, Some(settle(1, Transition::WaitForChildren)));
        let ask = slots.ask(now).unwrap();
        assert_eq!((runs(&ask), ask.want), (vec![1], 0), "it runs on where no child is pending");
        slots.answered(0, 0, Hint::Wait, now, WALL);
        slots.started(1);
        assert!(slots.ask(now).is_none() && slots.wait(now).is_none(), "no slot is free");
        slots.ended(1, Some(settle(1, Transition::WaitForChildren)));
        exchange(&mut slots, now, 0..0, Hint::Wait);
        assert_eq!(slots.ask(now).unwrap().want, 1, "it waits for its children: the slot is filled at once");
    }

    #[test]
    fn a_wall_clock_that_steps_forward_is_noticed_within_the_longest_wait() {
        let now = Instant::now();
        let mut slots = Slots::new(1);
        let due = WALL.after(Duration::from_secs(3600));
        exchange(&mut slots, now, 0..0, Hint::DueAt(due));
        assert_eq!(slots.wait(now), Some(IDLE_DUE), "not the hour that it would take");
        let then = now + IDLE_DUE;
        slots.woken(Woken::TimedOut, then, due);
        assert_eq!(slots.ask(then).unwrap().want, 1, "the store judges what is due by the new time");
    }

    #[test]
    fn a_wall_clock_that_steps_back_makes_no_busy_loop() {
        let now = Instant::now();
        let mut slots = Slots::new(1);
        let due = WALL.after(Duration::from_secs(3));
        exchange(&mut slots, now, 0..0, Hint::DueAt(due));
        let then = now + Duration::from_secs(3);
        let ask = slots.ask(then).expect("by the clock that does not step it is due");
        let stepped = Timestamp::from_millis(WALL.as_millis() - 3_600_000);
        slots.answered(ask.lane, 0, Hint::DueAt(due), then, stepped);
        assert!(slots.ask(then).is_none(), "the store says that it is not due");
        assert_eq!(slots.wait(then), Some(IDLE_DUE));
        slots.woken(Woken::DueAt(due), then + IDLE_DUE, stepped.after(IDLE_DUE));
        assert!(slots.ask(then + IDLE_DUE).is_none() && slots.wait(then + IDLE_DUE).is_some());
    }

    #[test]
    fn a_due_time_is_waited_for_and_a_limit_sat_out() {
        let now = Instant::now();
        let mut slots = Slots::new(1);
        exchange(&mut slots, now, 0..0, Hint::DueAt(WALL.after(Duration::from_secs(3))));
        assert_eq!(slots.wait(now), Some(Duration::from_secs(3)));
        let due = now + Duration::from_secs(3);
        assert_eq!(slots.wake_at(), Some(due));
        assert!(slots.ask(now).is_none());
        assert_eq!(exchange(&mut slots, due, 0..0, Hint::LimitedFor(Duration::from_secs(60))).want, 1);
        slots.woken(Woken::TimedOut, due, WALL);
        assert!(slots.ask(due).is_none() && slots.wait(due).is_none(), "limited: no call, no wait");
        assert_eq!(slots.wake_at(), Some(due + LONGEST_LIMIT));
        assert!(slots.ask(due + LONGEST_LIMIT).is_some());
    }

    #[test]
    fn a_popped_delay_marker_is_remembered_and_the_earlier_time_kept() {
        let now = Instant::now();
        let mut slots = Slots::new(1);
        exchange(&mut slots, now, 0..0, Hint::Wait);
        slots.wait(now);
        slots.woken(Woken::DueAt(WALL.after(Duration::from_secs(20))), now, WALL);
        assert!(slots.ask(now).is_none());
        assert_eq!(slots.wait(now), Some(IDLE_DUE));
        slots.woken(Woken::DueAt(WALL.after(Duration::from_secs(90))), now, WALL);
        assert_eq!(slots.wake_at(), Some(now + Duration::from_secs(20)));
    }

    #[test]
    fn closing_hands_back_in_reverse_order_of_start_after_the_last_handler() {
        let now = Instant::now();
        let mut slots = Slots::new(3);
        exchange(&mut slots, now, 1..4, Hint::Again);
        slots.set_phase(Phase::Closing);
        slots.ended(1, Some(settle(1, Transition::PutBack)));
        slots.ended(3, Some(settle(3, Transition::PutBack)));
        assert!(slots.ask(now).is_none(), "one handler still runs");
        slots.ended(2, Some(settle(2, Transition::PutBack)));
        let last = slots.ask(now).unwrap();
        assert_eq!((runs(&last), last.want), (vec![3, 2, 1], 0));
        assert!(!slots.is_over());
        slots.answered(0, 0, Hint::Wait, now, WALL);
        assert!(slots.is_over());
    }

    #[test]
    fn closing_makes_up_for_a_marker_it_may_have_popped() {
        let now = Instant::now();
        let mut slots = Slots::new(1);
        exchange(&mut slots, now, 0..0, Hint::Wait);
        slots.wait(now);
        slots.set_phase(Phase::Closing);
        assert!(!slots.is_over());
        assert!(exchange(&mut slots, now, 0..0, Hint::Wait).wake_another);
        assert!(slots.is_over());
    }

    #[test]
    fn a_quiet_worker_that_pops_a_marker_passes_it_on() {
        let now = Instant::now();
        let mut slots = Slots::new(1);
        exchange(&mut slots, now, 0..0, Hint::Wait);
        slots.wait(now);
        slots.set_phase(Phase::Quiet);
        slots.woken(Woken::Ready, now, WALL);
        let ask = slots.ask(now).unwrap();
        assert!(ask.wake_another && ask.want == 0);
        slots.answered(0, 0, Hint::Wait, now, WALL);
        assert!(slots.ask(now).is_none() && slots.wait(now).is_none());
        slots.set_phase(Phase::Working);
        assert_eq!(slots.ask(now).unwrap().want, 1);
    }

    #[test]
    fn a_worker_that_pops_a_marker_when_its_slots_are_full_passes_it_on() {
        let now = Instant::now();
        let mut slots = Slots::new(2);
        exchange(&mut slots, now, 1..2, Hint::Wait);
        assert_eq!(slots.wait(now), Some(IDLE));
        slots.ended(1, Some(later(1)));
        exchange(&mut slots, now, 2..4, Hint::Wait);
        slots.woken(Woken::Ready, now, WALL);
        let ask = slots.ask(now).unwrap();
        assert!(ask.wake_another && ask.want == 0);
        slots.answered(0, 0, Hint::Wait, now, WALL);
        assert!(slots.ask(now).is_none() && slots.wait(now).is_none(), "nothing more to do");
        slots.ended(2, Some(later(2)));
        assert!(!slots.ask(now).unwrap().wake_another);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Ask,
        /// Of either call, if there are two.
        Answer(usize, usize),
        End(usize, bool),
        EndAll,
        Wait,
        Wake,
        Quiet(bool),
        Resize(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Ask),
            4 => ((0usize..2), (0usize..24)).prop_map(|(which, n)| Step::Answer(which, n)),
            6 => ((0usize..24), any::<bool>()).prop_map(|(n, lost)| Step::End(n, lost)),
            2 => Just(Step::EndAll),
            1 => Just(Step::Wait),
            1 => Just(Step::Wake),
            1 => any::<bool>().prop_map(Step::Quiet),
            1 => (1usize..32).prop_map(Step::Resize),
        ];
        proptest::collection::vec(step, 1..120)
    }

    proptest! {
        /// Whatever happens in whatever order: no more handlers than slots, every outcome handed in exactly once, and
        /// closing comes to an end.
        #[test]
        fn nothing_is_lost_or_sent_twice(steps in steps()) {
            let now = Instant::now();
            let mut slots = Slots::new(20);
            let (mut most, mut next) = (20usize, 1u64);
            let mut running = BTreeSet::new();
            let mut flights: Vec<Ask> = Vec::new();
            let (mut owed, mut sent) = (BTreeSet::new(), BTreeSet::new());
            let mut send = |ask: &Ask| for run in runs(ask) { assert!(sent.insert(run), "sent twice"); };
            for step in steps {
                match step {
                    Step::Ask => if let Some(ask) = slots.ask(now) {
                        prop_assert!(flights.iter().all(|other| other.lane != ask.lane), "two in one lane");
                        let asked = ask.want + flights.iter().map(|other| other.want).sum::<usize>();
                        prop_assert!(running.len() + asked <= most.max(running.len()), "more than free");
                        send(&ask);
                        flights.push(ask);
                    },
                    Step::Answer(which, n) => if which < flights.len() {
                        let ask = flights.remove(which);
                        let taken = n.min(ask.want);
                        slots.answered(ask.lane, taken, Hint::Wait, now, WALL);
                        for _ in 0..taken { slots.started(next); running.insert(next); next += 1; }
                    },
                    Step::End(n, lost) => if let Some(&run) = running.iter().nth(n) {
                        running.remove(&run);
                        if !lost { owed.insert(run); }
                        slots.ended(run, (!lost).then(|| later(run)));
                    },
                    Step::EndAll => for run in std::mem::take(&mut running) {
                        owed.insert(run);
                        slots.ended(run, Some(later(run)));
                    },
                    Step::Wait => { slots.wait(now); }
                    Step::Wake => slots.woken(Woken::TimedOut, now, WALL),
                    Step::Quiet(quiet) => slots.set_phase(if quiet { Phase::Quiet } else { Phase::Working }),
                    Step::Resize(to) => { most = most.max(to); slots.set_concurrency(to); }
                }
            }
            slots.set_phase(Phase::Closing);
            for run in running { owed.insert(run); slots.ended(run, Some(settle(run, Transition::PutBack))); }
            for _ in 0..200 {
                for ask in flights.drain(..) { slots.answered(ask.lane, 0, Hint::Wait, now, WALL); }
                let Some(ask) = slots.ask(now) else { break };
                send(&ask);
                prop_assert!(slots.ask(now).is_none(), "closing goes in order");
                flights.push(ask);
            }
            prop_assert!(slots.is_over());
            prop_assert_eq!(owed, sent);
        }
    }
}
