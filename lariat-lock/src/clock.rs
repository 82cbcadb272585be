//! The clock leases are measured with.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point on a clock that never steps and that counts the time a machine was suspended.
///
/// A lease runs out on the server while a laptop sleeps, so the clock that judges it here must not stop either.
/// On Linux and Android it is `CLOCK_BOOTTIME`, on Apple systems `CLOCK_MONOTONIC`, which counts sleep there;
/// elsewhere it is [`std::time::Instant`], and what that says about suspend holds.
///
/// All arithmetic saturates: an instant before the clock's zero is zero, and the difference of two instants in the
/// wrong order is no time at all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The present moment.
    pub fn now() -> Self {
        Self(read_clock())
    }

    /// An instant `nanos` nanoseconds after the clock's zero, for a driver or a test that keeps its own time.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's zero. Comparable within one boot of one machine, meaningless beyond.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to this instant; zero when `earlier` is the later one.
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Time that has passed since this instant.
    pub fn elapsed(self) -> Duration {
        Self::now().saturating_duration_since(self)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({:?})", Duration::from_nanos(self.0))
    }
}

/// Whole nanoseconds of a span, at most what an [`Instant`] can hold (584 years).
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn read_clock() -> u64 {
    use rustix::time::{ClockId, clock_gettime};

    #[cfg(target_vendor = "apple")]
    const CLOCK: ClockId = ClockId::Monotonic;
    #[cfg(not(target_vendor = "apple"))]
    const CLOCK: ClockId = ClockId::Boottime;

    let time = clock_gettime(CLOCK);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let below = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(below)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn read_clock() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant as StdInstant;

    static ZERO: OnceLock<StdInstant> = OnceLock::new();
    // A lease may begin a little before the first reading; an hour of room keeps that from saturating.
    nanos(ZERO.get_or_init(StdInstant::now).elapsed().saturating_add(Duration::from_secs(3600)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward() {
        let first = Instant::now();
        let second = Instant::now();
        assert!(second >= first);
        assert!(first.elapsed() >= second - first);
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let early = Instant::from_nanos(5);
        assert_eq!(early - Duration::from_secs(1), Instant::from_nanos(0));
        assert_eq!(early + Duration::MAX, Instant::from_nanos(u64::MAX));
        assert_eq!(early - Instant::from_nanos(9), Duration::ZERO);
        assert_eq!(Instant::from_nanos(9) - early, Duration::from_nanos(4));
    }

    #[test]
    fn debug_is_read_as_a_span() {
        assert_eq!(format!("{:?}", Instant::from_nanos(1_500_000_000)), "Instant(1.5s)");
    }
}
