//! What the table costs with 100,000 claims: nanoseconds, and how many entries are looked at.
//!
//! `cargo bench -p lariat-lock`. Each figure is the best of several rounds: noise only ever adds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "a bench that meets what it did not expect is to panic"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant as Stopwatch};

use lariat_lock::table::LockTable;
use lariat_lock::testing::ScriptedStore;
use lariat_lock::{BoxFuture, Claim, Instant, LockManager, LockStore, StoreError, Terms, Verdict};

const CLAIMS: u32 = 100_000;
const ROUNDS: usize = 9;
const HOUR: Instant = Instant::from_nanos(3_600_000_000_000);

fn best(mut round: impl FnMut() -> Duration) -> Duration {
    (0..ROUNDS).map(|_| round()).min().unwrap_or_default()
}

fn nanos_each(total: Duration, count: u32) -> f64 {
    total.as_secs_f64() * 1e9 / f64::from(count)
}

fn claims(count: u32) -> Vec<Claim> {
    (0..count).map(|number| Claim::new(format!("job-{number}"), format!("0b9f7a52-73b1:{number}"))).collect()
}

/// A table with all claims tracked, a few microseconds apart.
fn full() -> (LockTable, Instant) {
    let terms = Terms::new(Duration::from_secs(30), None).expect("the defaults are right");
    let (mut table, mut now) = (LockTable::new(terms, Duration::from_millis(321)), HOUR);
    for claim in claims(CLAIMS) {
        now += Duration::from_micros(7);
        table.track(claim, now, now, ()).expect("the grant is fresh");
    }
    (table, now)
}

fn few_due() {
    let (mut table, now) = full();
    let old = now - table.terms().lock_renew_time();
    for claim in claims(10) {
        table.track(claim, old, now, ()).expect("trust lasts");
    }
    let before = table.visited();
    let start = Stopwatch::now();
    let expired = table.expire(now, 500).len();
    let chunk = table.take_due(now).expect("ten are due");
    let took = start.elapsed();
    let visited = table.visited() - before;
    println!("tick, 10 due of {}: {took:?}, {visited} entries visited, {expired} expired", table.len());
    assert_eq!((visited, chunk.claims.len()), (10, 10), "a tick visits the due ones only");
}

fn renewal() {
    let verdicts = vec![Verdict::Extended; 500];
    let (mut table, mut now) = full();
    let mut calls = 0;
    let took = best(|| {
        now += table.terms().lock_renew_time();
        calls = 0;
        let start = Stopwatch::now();
        while let Some(chunk) = table.take_due(now) {
            let count = chunk.claims.len();
            black_box(table.settle(chunk, &verdicts[..count], now));
            calls += 1;
        }
        start.elapsed()
    });
    println!("renewal of {CLAIMS}: {:.0} ns per lock, {calls} calls", nanos_each(took, CLAIMS));
}

fn coming_and_going(tracked: u32) {
    const PAIRS: u32 = 100_000;
    let (mut table, mut now) = full();
    let all: Vec<_> = table.claims().map(|view| view.key).collect();
    for key in all.into_iter().skip(tracked as usize) {
        table.untrack(key);
    }
    let claims = claims(PAIRS);
    let took = best(|| {
        let mut held = Vec::with_capacity(64);
        let fresh = claims.clone();
        let start = Stopwatch::now();
        for (number, claim) in (0_u32..).zip(fresh) {
            // A fetch brings up to 64 jobs at a time.
            if number % 64 == 0 {
                now += Duration::from_micros(500);
                for key in held.drain(..) {
                    table.untrack(key);
                }
            }
            held.push(table.track(claim, now, now, ()).expect("the grant is fresh"));
        }
        for key in held.drain(..) {
            table.untrack(key);
        }
        start.elapsed()
    });
    println!("track and untrack beside {tracked}: {:.0} ns a pair", nanos_each(took, PAIRS));
}

/// The same through the handle: allocation, the short lock, the guard, the clock.
fn guards() {
    const PAIRS: u32 = 100_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let locks = LockManager::builder(ScriptedStore::new()).start().expect("the defaults are right");
    let claims = claims(PAIRS);
    let mut checked = Duration::ZERO;
    let took = best(|| {
        let start = Stopwatch::now();
        for claim in &claims {
            let guard = locks.track_job(Arc::clone(&claim.id), Arc::clone(&claim.token), Instant::now());
            black_box(&guard);
        }
        let took = start.elapsed();
        let guard = locks.track_job("one", "t", Instant::now()).expect("the grant is fresh");
        let start = Stopwatch::now();
        for _ in 0..PAIRS {
            let _ = black_box(guard.check());
        }
        checked = start.elapsed();
        took
    });
    println!("track_job and drop of the guard: {:.0} ns a pair", nanos_each(took, PAIRS));
    println!("check: {:.0} ns", nanos_each(checked, PAIRS));
    println!("wake-ups of the lock thread meanwhile: {}", locks.metrics().wakeups);
}

struct Yes;

impl LockStore for Yes {
    fn extend<'a>(&'a self, claims: &'a [Claim], _: Duration) -> BoxFuture<'a, Result<Vec<Verdict>, StoreError>> {
        Box::pin(std::future::ready(Ok(vec![Verdict::Extended; claims.len()])))
    }
}

/// Processor time of renewal through the manager: thread, timer, lock, boxed call, guards; all but the store.
#[cfg(unix)]
fn driver() {
    let processor_time = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let locks = LockManager::builder(Yes)
        .lock_duration(Duration::from_secs(8))
        .lock_renew_time(Duration::from_millis(500))
        .start()
        .expect("the options are right");
    let track = |claim: Claim| locks.track_job(claim.id, claim.token, Instant::now());
    let guards: Vec<_> = claims(CLAIMS).into_iter().map(track).collect::<Result<_, _>>().expect("trust lasts");
    let mut renewed = 0;
    let took = best(|| {
        let (time, before) = (processor_time(), locks.metrics().renewed);
        // sleep: the span that is measured
        std::thread::sleep(Duration::from_secs(1));
        renewed = u32::try_from(locks.metrics().renewed - before).unwrap_or(u32::MAX);
        (processor_time() - time) * CLAIMS / renewed
    });
    drop(guards);
    println!("renewal by the driver of {CLAIMS}: {:.0} ns of processor time per lock", nanos_each(took, CLAIMS));
}

#[cfg(not(unix))]
fn driver() {}

fn main() {
    few_due();
    renewal();
    driver();
    coming_and_going(200);
    coming_and_going(CLAIMS);
    guards();
}
