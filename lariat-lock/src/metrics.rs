//! Figures of a manager. None of them carries an id.

use std::time::Duration;

use crate::error::LossReason;

const BUCKETS: usize = 32;

/// How durations are spread: bucket `n` counts those below `2^n` microseconds that no smaller bucket holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; BUCKETS],
    count: u64,
    sum: Duration,
    min: Duration,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], count: 0, sum: Duration::ZERO, min: Duration::MAX, max: Duration::ZERO }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        self.buckets[bucket.min(BUCKETS - 1)] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// How many values were recorded.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// The smallest, if any was recorded.
    pub fn min(&self) -> Option<Duration> {
        (self.count > 0).then_some(self.min)
    }

    /// The largest, if any was recorded.
    pub fn max(&self) -> Option<Duration> {
        (self.count > 0).then_some(self.max)
    }

    /// Upper bounds (exclusive) and counts, smallest first; the last bound stands for everything above.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.buckets.iter().zip(0..).map(|(count, power): (_, u32)| (Duration::from_micros(1 << power), *count))
    }
}

/// Calls to the store, by what came of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Calls {
    /// Every claim was extended.
    pub ok: u64,
    /// Answered, but not every claim was extended.
    pub partial: u64,
    /// The store answered with an error, or with the wrong number of verdicts.
    pub failed: u64,
    /// No answer before the deadline.
    pub timed_out: u64,
}

/// Claims lost, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Losses {
    /// Nobody held the lock.
    pub missing: u64,
    /// Another token held it.
    pub taken: u64,
    /// No answer before trust ended.
    pub expired: u64,
}

impl Losses {
    pub(crate) fn count(&mut self, reason: LossReason) {
        match reason {
            LossReason::Missing => self.missing += 1,
            LossReason::Taken => self.taken += 1,
            LossReason::Expired => self.expired += 1,
        }
    }
}

/// A snapshot of a manager's figures, all counted since it started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockMetrics {
    /// Claims tracked now.
    pub tracked: usize,
    /// Claims due now and not yet sent.
    pub due: usize,
    /// How late calls were sent, against the moment their first claim was due.
    pub tick_lag: Histogram,
    /// Calls to the store.
    pub calls: Calls,
    /// How long they took, those that timed out included.
    pub call_latency: Histogram,
    /// Claims sent in all calls together; divided by the calls, the batch size.
    pub claims_sent: u64,
    /// Claims sent again because a call before brought no answer.
    pub retries: u64,
    /// Claims renewed.
    pub renewed: u64,
    /// Claims lost.
    pub lost: Losses,
    /// The smallest trust left at the moment of renewal, one value for each call: the figure that warns early. Its
    /// minimum near zero means that locks are about to expire.
    pub trust_left: Histogram,
    /// Times the driver panicked and was started again.
    pub restarts: u64,
    /// Events that slow listeners missed.
    pub dropped_events: u64,
    /// Times the driver woke up.
    pub wakeups: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_powers_of_two() {
        let mut histogram = Histogram::default();
        for micros in [0, 1, 2, 3, 4, 1_000_000, u64::MAX] {
            histogram.record(Duration::from_micros(micros));
        }
        let filled: Vec<_> = histogram.buckets().filter(|(_, count)| *count > 0).collect();
        let micros = Duration::from_micros;
        let last = micros(1 << 31);
        assert_eq!(
            filled,
            [(micros(1), 1), (micros(2), 1), (micros(4), 2), (micros(8), 1), (micros(1 << 20), 1), (last, 1)]
        );
        assert_eq!((histogram.count(), histogram.min()), (7, Some(Duration::ZERO)));
        assert_eq!(Histogram::default().max(), None);
    }
}
