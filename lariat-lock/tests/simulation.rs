//! A driver, a server and a network in virtual time, with random troubles: calls that fail, hang, or are applied
//! though their reply is lost; a machine that is suspended; claims that come, settle and go.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "a test that meets what it did not expect is to panic"
)]

use std::collections::HashMap;
use std::time::Duration;

use lariat_lock::table::{Chunk, Key, LockTable};
use lariat_lock::{Claim, Instant, LossReason, Terms, Verdict};
use proptest::prelude::*;

const LONGEST_SLEEP: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
enum Event {
    /// Fetch a job: the grant reaches us after this many milliseconds.
    Fetch(u64),
    Finish(usize),
    Settle(usize),
    /// Nothing happens for this many thousandths of the lock duration.
    Pass(u32),
    /// The machine sleeps for this many thousandths of it: its timers stand still.
    Suspend(u32),
    /// Somebody takes the lock away.
    Steal(usize),
}

#[derive(Debug, Clone, Copy)]
enum Network {
    /// The server acts after a part of the round trip; the reply comes at its end.
    Works(u64),
    Refuses(u64),
    /// The server acts, the reply never comes.
    LosesReply(u64),
    /// The request never arrives.
    Hangs,
}

/// The place where the locks live: until when each token holds its own.
#[derive(Default)]
struct Server(HashMap<String, Instant>);

impl Server {
    fn extend(&mut self, chunk: &Chunk, lock: Duration, now: Instant) -> Vec<Verdict> {
        let one = |claim: &Claim| match self.0.get_mut(&*claim.id) {
            Some(until) if *until > now => {
                *until = now + lock;
                Verdict::Extended
            }
            _ => Verdict::Missing,
        };
        chunk.claims.iter().map(one).collect()
    }
}

struct Held {
    key: Key,
    id: String,
    settling: bool,
    stolen: bool,
}

struct Simulation {
    now: Instant,
    table: LockTable,
    server: Server,
    held: Vec<Held>,
    network: Vec<Network>,
    calls: usize,
    ids: usize,
    lost: Vec<(String, LossReason)>,
    /// How late the driver may be, because the machine was suspended meanwhile.
    excuse: Duration,
}

impl Simulation {
    fn new(terms: Terms, network: Vec<Network>) -> Self {
        Self {
            now: Instant::from_nanos(1_000_000_000_000),
            table: LockTable::new(terms, Duration::from_millis(777)),
            server: Server::default(),
            held: Vec::new(),
            network,
            calls: 0,
            ids: 0,
            lost: Vec::new(),
            excuse: Duration::ZERO,
        }
    }

    fn lock(&self) -> Duration {
        self.table.terms().lock_duration()
    }

    fn happen(&mut self, event: Event) {
        self.excuse = Duration::ZERO;
        match event {
            Event::Fetch(ms) => {
                let sent = self.now;
                // The server grants it somewhere on the way.
                let granted = sent + Duration::from_millis(ms) / 2;
                self.pass(Duration::from_millis(ms));
                self.ids += 1;
                let id = self.ids.to_string();
                self.server.0.insert(id.clone(), granted + self.lock());
                let claim = Claim::new(id.as_str(), "t");
                if let Ok(key) = self.table.track(claim, sent, self.now, ()) {
                    self.held.push(Held { key, id, settling: false, stolen: false });
                }
            }
            Event::Finish(pick) if !self.held.is_empty() => {
                let done = self.held.swap_remove(pick % self.held.len());
                self.table.untrack(done.key);
                self.server.0.remove(&done.id);
            }
            Event::Settle(pick) if !self.held.is_empty() => {
                let place = pick % self.held.len();
                let loss = self.table.begin_settling(self.held[place].key, self.now);
                self.held[place].settling = loss.is_none();
                self.note(loss.map(|loss| loss.lost.reason), place);
            }
            Event::Steal(pick) if !self.held.is_empty() => {
                let place = pick % self.held.len();
                self.held[place].stolen = true;
                self.server.0.remove(&self.held[place].id);
            }
            Event::Pass(part) => self.pass(self.lock() * part / 1000),
            Event::Suspend(part) => {
                let asleep = self.lock() * part / 1000;
                self.now += asleep;
                self.excuse = asleep + LONGEST_SLEEP;
                self.pass(LONGEST_SLEEP);
            }
            Event::Finish(_) | Event::Settle(_) | Event::Steal(_) => {}
        }
        self.check();
    }

    fn note(&mut self, reason: Option<LossReason>, place: usize) {
        if let Some(reason) = reason {
            let gone = self.held.remove(place);
            assert!(!gone.settling, "a settling claim is not reported");
            assert!(
                reason == LossReason::Expired
                    || gone.stolen
                    || self.server.0.get(&gone.id).is_none_or(|until| *until <= self.now)
            );
            self.lost.push((gone.id, reason));
        }
    }

    /// Lets time pass, with the driver at work as the manager does it.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.expire();
            self.check();
            // A network slower than the renew time keeps the driver in calls all the time.
            if self.now >= end {
                return;
            }
            if let Some(chunk) = self.table.take_due(self.now) {
                self.call(chunk);
            } else {
                let wakeup = self.table.next_wakeup().unwrap_or(end);
                let wakeup = wakeup.min(self.now + LONGEST_SLEEP).max(self.now);
                self.now = wakeup.min(end);
            }
        }
    }

    fn call(&mut self, chunk: Chunk) {
        let network = self.network[self.calls % self.network.len()];
        self.calls += 1;
        let ms = Duration::from_millis;
        let (acts, replies) = match network {
            Network::Works(trip) => (Some(chunk.sent + ms(trip) / 2), Some(chunk.sent + ms(trip))),
            Network::Refuses(trip) => (None, Some(chunk.sent + ms(trip))),
            Network::LosesReply(trip) => (Some(chunk.sent + ms(trip)), None),
            Network::Hangs => (None, None),
        };
        let end = replies.unwrap_or(chunk.deadline).min(chunk.deadline);
        // A server that is reached acts, whether we still wait for it or not; here, as early as it can be noticed.
        let verdicts = acts.map(|at| self.server.extend(&chunk, self.lock(), at));
        while let Some(expiry) = self.table.next_expiry().filter(|expiry| *expiry <= end) {
            self.now = self.now.max(expiry);
            self.expire();
        }
        self.now = self.now.max(end);
        match verdicts {
            Some(verdicts) if replies.is_some_and(|at| at <= chunk.deadline) => {
                let settled = self.table.settle(chunk, &verdicts, self.now);
                for loss in settled.losses {
                    let place = self.held.iter().position(|held| *held.id == *loss.lost.id).unwrap();
                    self.note(Some(loss.lost.reason), place);
                }
            }
            _ => drop(self.table.unknown(&chunk, self.now, 0.3)),
        }
    }

    fn expire(&mut self) {
        for loss in self.table.expire(self.now, usize::MAX) {
            let late = loss.lost.unconfirmed - self.table.terms().trust_window();
            assert!(late <= self.excuse, "told {late:?} after the end of trust");
            let place = self.held.iter().position(|held| *held.id == *loss.lost.id).unwrap();
            self.note(Some(LossReason::Expired), place);
        }
    }

    /// Whatever happened: a claim that is trusted is held on the server, and will be until after trust ends.
    fn check(&self) {
        assert_eq!(self.table.audit(), Ok(()));
        let terms = self.table.terms();
        let margin = terms.lock_duration() - terms.trust_window();
        for view in self.table.claims() {
            let held = self.held.iter().find(|held| *held.id == *view.claim.id).unwrap();
            let until = self.server.0.get(&held.id).copied();
            let safe = held.stolen || until.is_some_and(|until| view.trusted_until + margin <= until);
            assert!(safe, "{view:?} is trusted, but the server keeps it until {until:?}");
        }
        assert_eq!(self.held.len(), self.table.len());
    }
}

fn terms() -> impl Strategy<Value = Terms> {
    (100_u64..40_000, 10_u32..70).prop_map(|(lock, percent)| {
        let lock = Duration::from_millis(lock);
        Terms::new(lock, Some((lock * percent / 100).max(Duration::from_millis(1)))).unwrap()
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_u64..200).prop_map(Event::Fetch),
        2 => any::<usize>().prop_map(Event::Finish),
        1 => any::<usize>().prop_map(Event::Settle),
        6 => (0_u32..700).prop_map(Event::Pass),
        1 => (0_u32..2000).prop_map(Event::Suspend),
        1 => any::<usize>().prop_map(Event::Steal),
    ]
}

fn network() -> impl Strategy<Value = Network> {
    prop_oneof![
        5 => (0_u64..2_000).prop_map(Network::Works),
        2 => (0_u64..500).prop_map(Network::Refuses),
        1 => (0_u64..500).prop_map(Network::LosesReply),
        1 => Just(Network::Hangs),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_trusted_is_held(
        terms in terms(),
        events in prop::collection::vec(event(), 1..60),
        network in prop::collection::vec(network(), 1..20),
    ) {
        let mut simulation = Simulation::new(terms, network);
        for event in events {
            simulation.happen(event);
        }
    }

    /// An outage of half of what trust outlasts a renewal by costs nothing, whenever it begins and however it looks.
    #[test]
    fn a_short_outage_loses_nothing(
        lock in 400_u64..40_000,
        claims in prop::collection::vec(0_u32..20, 1..30),
        begins in 0.0..3.0_f64,
        hangs in any::<bool>(),
    ) {
        let terms = Terms::new(Duration::from_millis(lock), None).unwrap();
        let outage = (terms.trust_window() - terms.lock_renew_time()) / 2;
        let mut simulation = Simulation::new(terms, vec![Network::Works(1)]);
        for pause in claims {
            simulation.happen(Event::Fetch(1));
            simulation.happen(Event::Pass(pause));
        }
        let lock = terms.lock_duration();
        simulation.pass(lock.mul_f64(begins));
        simulation.network = vec![if hangs { Network::Hangs } else { Network::Refuses(1) }];
        simulation.pass(outage);
        simulation.network = vec![Network::Works(1)];
        simulation.pass(lock * 3);
        prop_assert!(simulation.lost.is_empty(), "{:?}", simulation.lost);
    }

    /// Nothing is renewed more often than the figures allow, whatever the phase of its beginning.
    #[test]
    fn a_store_that_works_is_called_twice_a_lock(lock in 100_u64..40_000, waits in 0_u64..20_000) {
        let terms = Terms::new(Duration::from_millis(lock), None).unwrap();
        let mut simulation = Simulation::new(terms, vec![Network::Works(0)]);
        simulation.pass(Duration::from_millis(waits));
        simulation.happen(Event::Fetch(0));
        simulation.pass(terms.lock_duration() * 10);
        prop_assert!(simulation.lost.is_empty());
        prop_assert!((19..=21).contains(&simulation.calls), "{} calls in ten lock durations", simulation.calls);
    }
}
