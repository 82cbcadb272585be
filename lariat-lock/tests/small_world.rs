//! Every interleaving of a few claims.
//!
//! The table is driven through all sequences of steps up to a bound: claims of two ids come, go and settle, time
//! passes (also in a jump, as after suspend), a chunk is taken, answered in every way, not answered, answered late or
//! twice, and the indexes are rebuilt as after a panic. A model beside it knows what each step may do. After each
//! step the invariants of the crate documentation are checked:
//!
//! - (a) a claim untracked in flight is never reported lost;
//! - (b) a claim expired or lost is reported once and never renewed again;
//! - (c) at most one renewal is in flight for each claim;
//! - (d) an old reply touches nothing, a new generation least of all;
//! - (e) every claim has a wake-up no later than the end of its trust;
//! - (f) no claim goes longer than the renew time without an attempt;
//! - (g) a settling claim is never reported lost.
//!
//! States that differ only in what time it is are explored once. `LARIAT_SMALL_WORLD_STEPS` sets another bound.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "a test that meets what it did not expect is to panic"
)]

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use lariat_lock::table::{Chunk, ClaimView, Key, LockTable, Loss};
use lariat_lock::{Claim, Instant, LossReason, Terms, Verdict};

const LOCK: Duration = Duration::from_millis(100);
const RENEW: Duration = Duration::from_millis(40);
const WINDOW: Duration = Duration::from_millis(75);
const TICK: u64 = 20_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fate {
    Tracked,
    Untracked,
    Lost,
}

/// What must be true of one claim, kept by rules of its own.
#[derive(Debug, Clone)]
struct Known {
    id: &'static str,
    key: Key,
    fate: Fate,
    settling: bool,
    /// A negative verdict came while it was settling.
    refused: bool,
    granted: Instant,
    /// When an attempt to renew it last began or ended.
    attempted: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Track {
        id: &'static str,
        ago_ms: u64,
    },
    Untrack(usize),
    Settle(usize),
    Confirm(usize),
    Take,
    /// One bit for each claim of the chunk: set, it is extended.
    Answer(u32),
    Taken,
    Unknown,
    LateAnswer(bool),
    Expire,
    Wait(u64),
    WaitForWakeup,
    Rebuild,
}

#[derive(Debug, Clone)]
struct World {
    now: Instant,
    table: LockTable,
    claims: Vec<Known>,
    out: Option<(Chunk, Vec<usize>)>,
    /// A chunk that was answered or given up: anything that comes for it is too late.
    old: Option<Chunk>,
    rebuilt: bool,
    /// How many claims may ever be tracked.
    most: usize,
    trace: Vec<Step>,
}

impl World {
    fn new(most: usize) -> Self {
        let terms = Terms::new(LOCK, Some(RENEW)).unwrap();
        assert_eq!(terms.trust_window(), WINDOW);
        Self {
            now: Instant::from_nanos(1_000_000_000),
            table: LockTable::new(terms, Duration::from_millis(3)),
            claims: Vec::new(),
            out: None,
            old: None,
            rebuilt: false,
            most,
            trace: Vec::new(),
        }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![Step::Wait(9), Step::Wait(80)];
        if self.table.next_wakeup().is_some_and(|at| at > self.now) {
            steps.push(Step::WaitForWakeup);
        }
        if self.claims.len() < self.most {
            for id in ["a", "b"] {
                steps.extend([0, 50].map(|ago_ms| Step::Track { id, ago_ms }));
            }
        }
        for (number, known) in self.claims.iter().enumerate().filter(|(_, known)| known.fate == Fate::Tracked) {
            steps.extend([Step::Untrack(number), Step::Confirm(number)]);
            if !known.settling {
                steps.push(Step::Settle(number));
            }
        }
        match &self.out {
            None => steps.push(Step::Take),
            Some((chunk, _)) => {
                steps.extend((0..1 << chunk.claims.len()).map(Step::Answer));
                steps.extend([Step::Taken, Step::Unknown]);
            }
        }
        if self.old.is_some() {
            steps.extend([Step::LateAnswer(true), Step::LateAnswer(false)]);
        }
        if self.table.next_expiry().is_some_and(|at| at <= self.now) {
            steps.push(Step::Expire);
        }
        if !self.rebuilt {
            steps.push(Step::Rebuild);
        }
        steps
    }

    fn apply(&mut self, step: Step) {
        self.trace.push(step);
        match step {
            Step::Wait(ms) => self.now += Duration::from_millis(ms),
            Step::WaitForWakeup => self.now = self.table.next_wakeup().unwrap(),
            Step::Track { id, ago_ms } => self.track(id, ago_ms),
            Step::Untrack(number) => {
                assert!(self.table.untrack(self.claims[number].key).is_some(), "{self:#?}");
                self.claims[number].fate = Fate::Untracked;
            }
            Step::Settle(number) => {
                let loss = self.table.begin_settling(self.claims[number].key, self.now);
                if loss.is_none() {
                    self.claims[number].settling = true;
                }
                self.lost(loss.into_iter().collect(), LossReason::Expired);
            }
            Step::Confirm(number) => {
                let since = self.now - Duration::from_millis(4);
                self.table.confirm(self.claims[number].key, since, self.now);
                let known = &mut self.claims[number];
                if since > known.granted {
                    known.granted = since;
                    known.attempted = known.attempted.max(since);
                    known.refused = false;
                }
            }
            Step::Take => self.take(),
            Step::Answer(bits) => {
                self.answer(|place| if bits >> place & 1 == 1 { Verdict::Extended } else { Verdict::Missing });
            }
            Step::Taken => self.answer(|_| Verdict::Taken),
            Step::Unknown => {
                let (chunk, members) = self.out.take().unwrap();
                self.table.unknown(&chunk, self.now, 0.5);
                self.ended(&members);
                self.old = Some(chunk);
            }
            Step::LateAnswer(good) => {
                let chunk = self.old.take().unwrap();
                let before = self.shape();
                let verdicts = vec![if good { Verdict::Extended } else { Verdict::Missing }; chunk.claims.len()];
                let settled = self.table.settle(chunk, &verdicts, self.now);
                assert!(
                    settled.renewed.is_empty() && settled.losses.is_empty(),
                    "(d) an old reply did something: {self:#?}"
                );
                assert_eq!(before, self.shape(), "(d) an old reply touched the table: {self:#?}");
            }
            Step::Expire => {
                let losses = self.table.expire(self.now, usize::MAX);
                assert!(!losses.is_empty(), "an expiry was due: {self:#?}");
                self.lost(losses, LossReason::Expired);
                let overdue = self.table.next_expiry().is_some_and(|at| at <= self.now);
                assert!(!overdue, "(b) an end of trust was not reported: {self:#?}");
            }
            Step::Rebuild => {
                self.table.rebuild(self.now, 0.5);
                self.rebuilt = true;
                for known in &mut self.claims {
                    // It forgets that the store refused a settling claim, and asks once more.
                    known.refused = false;
                }
                if let Some((chunk, members)) = self.out.take() {
                    self.ended(&members);
                    self.old = Some(chunk);
                }
                for known in self.claims.iter_mut().filter(|known| known.settling) {
                    known.attempted = self.now;
                }
            }
        }
    }

    fn track(&mut self, id: &'static str, ago_ms: u64) {
        let since = self.now - Duration::from_millis(ago_ms);
        let claim = Claim::new(id, self.claims.len().to_string());
        let key = self.table.track(claim, since, self.now, ()).unwrap();
        let known =
            Known { id, key, fate: Fate::Tracked, settling: false, refused: false, granted: since, attempted: since };
        self.claims.push(known);
    }

    fn take(&mut self) {
        let due: Vec<_> = self
            .table
            .claims()
            .filter(|view| view.due.is_some_and(|due| due <= self.now))
            .map(|view| number(&view))
            .collect();
        let over = self.table.next_expiry().is_some_and(|end| end <= self.now);
        let Some(chunk) = self.table.take_due(self.now) else {
            assert!(due.is_empty() || over, "(f) due claims were not taken: {self:#?}");
            return;
        };
        let members: Vec<usize> = chunk.claims.iter().map(|claim| claim.token.parse().unwrap()).collect();
        let (mut taken, mut due) = (members.clone(), due);
        taken.sort_unstable();
        due.sort_unstable();
        assert_eq!(taken, due, "(f) all due claims are taken, and no other: {self:#?}");
        for &member in &members {
            let known = &mut self.claims[member];
            assert_eq!(known.fate, Fate::Tracked, "(b) what is gone is not renewed: {:#?}", self.trace);
            assert!(!known.refused, "a refused claim is not asked for again: {:#?}", self.trace);
            known.attempted = self.now;
            let left = (known.granted + WINDOW) - self.now;
            assert!(known.settling || chunk.deadline <= self.now + left, "the call must end before trust does");
        }
        assert!(chunk.deadline > self.now, "a call needs some time: {:#?}", self.trace);
        self.out = Some((chunk, members));
    }

    fn answer(&mut self, verdict: impl Fn(usize) -> Verdict) {
        let (chunk, members) = self.out.take().unwrap();
        let verdicts: Vec<_> = (0..members.len()).map(verdict).collect();
        let sent = chunk.sent;
        self.old = Some(chunk.clone());
        let settled = self.table.settle(chunk, &verdicts, self.now);
        let mut renewed = Vec::new();
        let mut reported = Vec::new();
        for (&member, verdict) in members.iter().zip(&verdicts) {
            let known = &mut self.claims[member];
            match verdict {
                _ if known.fate != Fate::Tracked => {}
                Verdict::Extended => {
                    renewed.push(member);
                    known.granted = known.granted.max(sent);
                }
                _ if known.settling => known.refused = true,
                Verdict::Missing | Verdict::Taken => reported.push(member),
            }
        }
        let claims: Vec<usize> = settled.renewed.iter().map(|claim| claim.token.parse().unwrap()).collect();
        assert_eq!(claims, renewed, "(b) renewed is what is tracked and was extended: {self:#?}");
        let lost: Vec<_> = settled.losses.iter().map(|loss| self.number_of(loss)).collect();
        assert_eq!(lost, reported, "(a)(g) only claims that are tracked and not settling are lost: {self:#?}");
        let reason = if verdicts.contains(&Verdict::Taken) { LossReason::Taken } else { LossReason::Missing };
        self.lost(settled.losses, reason);
    }

    /// The attempt for these claims has ended without an answer.
    fn ended(&mut self, members: &[usize]) {
        for &member in members {
            self.claims[member].attempted = self.now;
        }
    }

    fn number_of(&self, loss: &Loss<()>) -> usize {
        self.claims.iter().position(|known| known.key.generation() == loss.lost.generation).unwrap()
    }

    fn lost(&mut self, losses: Vec<Loss<()>>, reason: LossReason) {
        for loss in losses {
            let number = self.number_of(&loss);
            let known = &self.claims[number];
            assert_ne!(known.fate, Fate::Untracked, "(a) reported lost after it was untracked: {self:#?}");
            assert_ne!(known.fate, Fate::Lost, "(b) reported lost twice: {self:#?}");
            assert!(!known.settling, "(g) reported lost while settling: {self:#?}");
            assert_eq!(loss.lost.reason, reason, "{self:#?}");
            let over = known.granted + WINDOW <= self.now;
            assert!(reason != LossReason::Expired || over, "expired before the end of its trust: {self:#?}");
            self.claims[number].fate = Fate::Lost;
        }
    }

    fn check(&self) {
        if let Err(wrong) = self.table.audit() {
            panic!("{wrong}: {self:#?}");
        }
        let wakeup = self.table.next_wakeup();
        let mut tracked = 0;
        for view in self.table.claims() {
            tracked += 1;
            let number = number(&view);
            let known = &self.claims[number];
            assert_eq!((known.fate, known.key), (Fate::Tracked, view.key), "{self:#?}");
            assert_eq!((known.settling, known.granted + WINDOW), (view.settling, view.trusted_until), "{self:#?}");
            let carried = self.out.as_ref().is_some_and(|(_, members)| members.contains(&number));
            assert_eq!(carried, view.in_flight, "(c) in flight is what the chunk that is out carries: {self:#?}");
            let watched = wakeup.is_some_and(|at| at <= view.trusted_until);
            assert!(view.settling || watched, "(e) no wake-up before the end of trust: {self:#?}");
            let latest = known.attempted + RENEW;
            if !view.in_flight && !known.refused {
                assert!(view.due.is_some_and(|due| due <= latest), "(f) no attempt in time: {self:#?}");
                assert!(self.out.is_some() || wakeup <= view.due, "(f) no wake-up for what is due: {self:#?}");
            }
        }
        let alive = self.claims.iter().filter(|known| known.fate == Fate::Tracked);
        assert_eq!((alive.clone().count(), tracked), (tracked, self.table.len()), "{self:#?}");
        for id in ["a", "b"] {
            assert_eq!(alive.clone().any(|known| known.id == id), self.table.contains(id), "{self:#?}");
        }
    }

    /// What must do nothing in this state: taking a second chunk, and whatever belongs to a former generation.
    fn check_idle_steps(&self) {
        if self.out.is_some() {
            let second = self.clone().table.take_due(self.now);
            assert!(second.is_none(), "(c) a second chunk while one is out: {self:#?}");
        }
        for gone in self.claims.iter().filter(|known| known.fate != Fate::Tracked) {
            let mut then = self.clone();
            let done = then.table.untrack(gone.key).is_some()
                || then.table.begin_settling(gone.key, self.now).is_some()
                || then.table.expire_one(gone.key, self.now).is_some();
            then.table.confirm(gone.key, self.now, self.now);
            let touched = done || then.shape() != self.shape() || then.table.contains_key(gone.key);
            assert!(!touched, "(d) the key of a former generation still fits: {self:#?}");
        }
    }

    /// Everything that later steps depend on, with all times relative to now.
    fn shape(&self) -> Vec<i128> {
        let ago = |at: Instant| i128::from(at.as_nanos()) - i128::from(self.now.as_nanos());
        let maybe = |at: Option<Instant>| at.map_or(i128::MAX, ago);
        let mut shape = vec![i128::from(self.now.as_nanos() % TICK), i128::from(self.rebuilt)];
        for known in &self.claims {
            let flags = [known.settling, known.refused, known.id == "a", known.fate == Fate::Tracked];
            shape.extend(flags.map(i128::from));
            if known.fate == Fate::Tracked {
                shape.extend([ago(known.granted), ago(known.attempted)]);
            }
        }
        for view in self.table.claims() {
            let number = i128::try_from(number(&view)).unwrap();
            shape.extend([number, maybe(view.due), i128::from(view.failures), ago(view.trusted_until)]);
            shape.extend([view.in_flight, view.settling].map(i128::from));
        }
        let mut chunk = |chunk: &Chunk| {
            shape.extend([ago(chunk.sent), ago(chunk.deadline)]);
            shape.extend(chunk.claims.iter().map(|claim| claim.token.parse::<i128>().unwrap()));
        };
        self.out.iter().for_each(|(out, _)| chunk(out));
        shape.push(i128::from(self.out.is_some()));
        // An old chunk does nothing whenever it was sent; what it carries is all that matters.
        let old = self.old.iter().flat_map(|old| &old.claims).map(|claim| claim.token.parse::<i128>().unwrap());
        shape.extend(old);
        shape.push(i128::from(self.old.is_some()));
        shape
    }
}

fn number(view: &ClaimView<'_>) -> usize {
    view.claim.token.parse().unwrap()
}

fn explore(claims: usize, steps: usize) {
    let steps = std::env::var("LARIAT_SMALL_WORLD_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(steps);
    let mut seen = HashSet::new();
    let mut edge = vec![World::new(claims)];
    let mut transitions = 0_u64;
    for _ in 0..steps {
        let mut next = Vec::new();
        for world in &edge {
            for step in world.steps() {
                let mut then = world.clone();
                then.apply(step);
                then.check();
                transitions += 1;
                let mut hasher = DefaultHasher::new();
                then.shape().hash(&mut hasher);
                if seen.insert(hasher.finish()) {
                    then.check_idle_steps();
                    next.push(then);
                }
            }
        }
        edge = next;
    }
    println!("{claims} claims, {steps} steps: {} states, {transitions} transitions", seen.len() + 1);
    assert!(seen.len() > 1_000, "a world of {} states means nothing", seen.len());
}

#[test]
fn three_claims_keep_the_invariants() {
    explore(3, 7);
}

#[test]
fn two_claims_keep_the_invariants_for_longer() {
    explore(2, 8);
}
