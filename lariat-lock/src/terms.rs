//! The terms of a lease, checked once, and every duration that follows from them.

use std::time::Duration;

use crate::clock::nanos;
use crate::error::ConfigError;

/// Most claims in one call to the store. A call of this size holds a Redis for 1-2 ms.
pub const MAX_CLAIMS: usize = 500;

const SHORTEST_LOCK: Duration = Duration::from_millis(100);
const SHORTEST_RENEW: Duration = Duration::from_millis(1);
const LEAST_MARGIN: Duration = Duration::from_millis(500);
const LEAST_CALL: Duration = Duration::from_millis(20);
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(1);

/// How long a lock lasts, when it is renewed, and how long it is believed in without news.
///
/// ```
/// use std::time::Duration;
/// use lariat_lock::Terms;
///
/// let terms = Terms::new(Duration::from_secs(30), None)?;
/// assert_eq!(terms.lock_renew_time(), Duration::from_secs(15));
/// assert_eq!(terms.trust_window(), Duration::from_secs(27));
/// # Ok::<(), lariat_lock::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    lock_duration: Duration,
    lock_renew_time: Duration,
    trust_window: Duration,
}

impl Terms {
    /// Checks and keeps the two durations; without a renew time, half of the lock duration.
    ///
    /// The rules: `lock_duration` is at least 100 ms, `lock_renew_time` at least 1 ms and below the trust window.
    pub fn new(lock_duration: Duration, lock_renew_time: Option<Duration>) -> Result<Self, ConfigError> {
        if lock_duration < SHORTEST_LOCK {
            return Err(ConfigError::OutOfRange {
                field: "lock_duration",
                value: lock_duration,
                rule: format!("{SHORTEST_LOCK:?} <= lock_duration"),
            });
        }
        let margin = (lock_duration / 10).max(LEAST_MARGIN).min(lock_duration / 4);
        let trust_window = lock_duration.saturating_sub(margin);
        let lock_renew_time = lock_renew_time.unwrap_or(lock_duration / 2);
        if lock_renew_time < SHORTEST_RENEW || lock_renew_time >= trust_window {
            return Err(ConfigError::OutOfRange {
                field: "lock_renew_time",
                value: lock_renew_time,
                rule: format!(
                    "{SHORTEST_RENEW:?} <= lock_renew_time < {trust_window:?} \
                     (the trust window of a lock_duration of {lock_duration:?})"
                ),
            });
        }
        Ok(Self { lock_duration, lock_renew_time, trust_window })
    }

    /// How long the store keeps a lock after a grant or a renewal.
    pub const fn lock_duration(&self) -> Duration {
        self.lock_duration
    }

    /// Longest time a claim goes without an attempt to renew it.
    pub const fn lock_renew_time(&self) -> Duration {
        self.lock_renew_time
    }

    /// How long a grant is believed in, counted from the moment its request was *sent*: the lock duration less a
    /// margin of a tenth, at least 500 ms, at most a quarter.
    pub const fn trust_window(&self) -> Duration {
        self.trust_window
    }

    /// Distance of two ticks: half the renew time.
    pub fn tick(&self) -> Duration {
        self.lock_renew_time / 2
    }

    /// How long a call may take whose most urgent claim has `trust_left`: a quarter of that, though not below 20 ms
    /// unless less is left at all.
    pub fn call_limit(&self, trust_left: Duration) -> Duration {
        (trust_left / 4).max(LEAST_CALL.min(trust_left))
    }

    /// How long to wait before a call is repeated whose claims have now gone unanswered `failures` times in a row.
    ///
    /// Doubles from 50 ms (or a fortieth of the lock), never beyond a second, the renew time or a quarter of the
    /// trust left. `spread` from 0 to 1 is the jitter: it takes off up to half.
    pub fn retry_delay(&self, failures: u32, trust_left: Duration, spread: f64) -> Duration {
        let first = FIRST_RETRY.min(self.lock_duration / 40);
        let longest = LAST_RETRY.min(self.lock_renew_time).min(trust_left / 4).max(first.min(self.lock_renew_time));
        let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(longest).mul_f64(1.0 - spread.clamp(0.0, 1.0) / 2.0)
    }

    pub(crate) fn tick_nanos(&self) -> u64 {
        nanos(self.tick()).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn refusal(lock_duration: Duration, renew: Option<Duration>) -> String {
        Terms::new(lock_duration, renew).unwrap_err().to_string()
    }

    #[test]
    fn margin_is_a_tenth_at_least_half_a_second_at_most_a_quarter() {
        let window = |duration| Terms::new(duration, None).unwrap().trust_window();
        assert_eq!(window(ms(30_000)), ms(27_000));
        assert_eq!(window(ms(4_000)), ms(3_500));
        assert_eq!(window(ms(1_000)), ms(750));
        assert_eq!(window(ms(100)), ms(75));
    }

    #[test]
    fn a_refusal_names_field_value_and_rule() {
        assert_eq!(refusal(ms(99), None), "lock_duration is 99ms, but the rule is 100ms <= lock_duration");
        for renew in [ms(0), ms(27_000), ms(60_000)] {
            let text = refusal(ms(30_000), Some(renew));
            assert!(text.contains("lock_renew_time") && text.contains("27s") && text.contains(&format!("{renew:?}")));
        }
        assert!(Terms::new(ms(30_000), Some(ms(26_999))).is_ok());
        assert!(Terms::new(Duration::MAX, None).is_ok());
    }

    #[test]
    fn a_call_gets_a_quarter_of_the_trust_but_20_ms_when_there_are_20_ms() {
        let terms = Terms::new(ms(30_000), None).unwrap();
        assert_eq!(terms.call_limit(ms(12_000)), ms(3_000));
        assert_eq!(terms.call_limit(ms(40)), ms(20));
        assert_eq!(terms.call_limit(ms(7)), ms(7));
    }

    #[test]
    fn retries_double_up_to_their_cap() {
        let terms = Terms::new(ms(30_000), None).unwrap();
        let delays: Vec<_> = (1..8).map(|n| terms.retry_delay(n, ms(20_000), 0.0)).collect();
        assert_eq!(delays, [50, 100, 200, 400, 800, 1_000, 1_000].map(ms));
        assert_eq!(terms.retry_delay(9, ms(400), 0.0), ms(100));
        assert_eq!(terms.retry_delay(9, ms(0), 0.0), ms(50));
        assert_eq!(terms.retry_delay(1, ms(20_000), 1.0), ms(25));
        assert_eq!(terms.retry_delay(u32::MAX, ms(20_000), 7.0), ms(500));
        let short = Terms::new(ms(100), Some(ms(1))).unwrap();
        assert_eq!(short.retry_delay(5, ms(70), 0.0), ms(1));
    }
}
