//! What renewal costs, counted in a simulation without noise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "a test that meets what it did not expect is to panic"
)]

use std::collections::HashMap;
use std::time::Duration;

use lariat_lock::table::LockTable;
use lariat_lock::{Claim, Instant, MAX_CLAIMS, Terms, Verdict};

const LOCK: Duration = Duration::from_secs(30);

fn table() -> LockTable {
    LockTable::new(Terms::new(LOCK, None).unwrap(), Duration::from_millis(1234))
}

fn claim(number: usize) -> Claim {
    Claim::new(number.to_string(), "token")
}

#[test]
fn ten_thousand_locks_cost_two_renewals_and_twenty_one_calls() {
    const CLAIMS: usize = 10_000;
    const LOCKS: u32 = 20;
    let round_trip = Duration::from_millis(3);
    let mut table = table();
    let renew = table.terms().lock_renew_time();
    let begin = Instant::from_nanos(3_600_000_000_000);
    let mut now = begin;
    let mut renewals = vec![0_u32; CLAIMS];
    let mut attempted = vec![now; CLAIMS];
    let mut calls = Vec::new();
    let (mut longest_gap, mut least_trust) = (Duration::ZERO, LOCK);

    let mut tracked = 0;
    while now < begin + LOCK * LOCKS {
        // They come one by one over a whole lock duration.
        while tracked < CLAIMS && begin + LOCK * u32::try_from(tracked).unwrap() / 10_000 <= now {
            table.track(claim(tracked), now, now, ()).unwrap();
            attempted[tracked] = now;
            tracked += 1;
        }
        assert!(table.expire(now, 1).is_empty(), "nothing is lost");
        if let Some(chunk) = table.take_due(now) {
            assert!(chunk.claims.len() <= MAX_CLAIMS);
            calls.push(now);
            least_trust = least_trust.min(chunk.trust_left.unwrap());
            for claim in &chunk.claims {
                let number: usize = claim.id.parse().unwrap();
                renewals[number] += 1;
                longest_gap = longest_gap.max(now - attempted[number]);
                attempted[number] = now;
            }
            now += round_trip;
            let verdicts = vec![Verdict::Extended; chunk.claims.len()];
            assert_eq!(table.settle(chunk, &verdicts, now).renewed.len(), verdicts.len());
        } else {
            let next = table.next_wakeup().unwrap_or(now + round_trip);
            now = if tracked < CLAIMS { next.min(now + round_trip) } else { next };
        }
    }

    let most = *renewals.iter().max().unwrap();
    assert!(f64::from(most) <= 2.2 * f64::from(LOCKS), "a lock was renewed {most} times in {LOCKS} lock durations");
    // A round is one renew time: two ticks. Whatever moment it is counted from.
    let busiest =
        (0..calls.len()).map(|first| calls[first..].iter().take_while(|at| **at < calls[first] + renew).count());
    let busiest = busiest.max().unwrap();
    assert!(busiest <= CLAIMS.div_ceil(MAX_CLAIMS) + 1, "{busiest} calls in a round");
    let waiting = round_trip * u32::try_from(busiest).unwrap();
    assert!(longest_gap <= renew + waiting, "{longest_gap:?} between two attempts");
    println!(
        "{most} renewals in {LOCKS} lock durations, {busiest} calls a round, {longest_gap:?} at most, {least_trust:?} trust left"
    );
}

#[test]
fn a_tick_looks_at_what_is_due_and_at_nothing_else() {
    let mut table = table();
    let now = Instant::from_nanos(3_600_000_000_000);
    let old = now - table.terms().lock_renew_time();
    for number in 0..100_000 {
        table.track(claim(number), if number % 10_000 == 7 { old } else { now }, now, ()).unwrap();
    }
    let before = table.visited();
    assert!(table.expire(now, 500).is_empty());
    let chunk = table.take_due(now).unwrap();
    assert_eq!((chunk.claims.len(), table.visited() - before), (10, 10));
    let verdicts = vec![Verdict::Extended; 10];
    table.settle(chunk, &verdicts, now);
    assert!(table.take_due(now).is_none() && table.expire(now, 500).is_empty());
    assert_eq!(table.visited() - before, 10);
    assert_eq!(table.audit(), Ok(()));
}

#[test]
fn what_comes_and_goes_leaves_nothing_behind() {
    let mut table = table();
    let mut now = Instant::from_nanos(3_600_000_000_000);
    let mut held = HashMap::new();
    for number in 0..300_000 {
        now += Duration::from_micros(20);
        held.insert(number % 200, table.track(claim(number), now, now, ()).unwrap()).map(|key| table.untrack(key));
    }
    assert_eq!((table.len(), table.places()), (200, 201));
    for key in held.into_values() {
        assert!(table.untrack(key).is_some());
    }
    assert_eq!((table.len(), table.next_wakeup()), (0, None));
    assert_eq!(table.audit(), Ok(()));
}
