//! Stored instants: Unix time in milliseconds, as BullMQ writes them.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An instant as it is stored: milliseconds since the Unix epoch, by the clock of whoever wrote it.
///
/// Spans are [`Duration`]s; a `Timestamp` is only ever a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// First instant that is refused as a due time: 2^41 ms, in September 2039. From there on BullMQ's delayed scores
    /// (due time x 4096) leave the range in which a double is exact.
    pub const FIRST_REFUSED_DUE: Timestamp = Timestamp(1 << 41);

    /// Now, by the wall clock. A clock before 1970 reads as 0.
    pub fn now() -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// The instant `ms` milliseconds after the Unix epoch.
    pub const fn from_millis(ms: i64) -> Timestamp {
        Timestamp(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This instant and `span` later, in whole milliseconds; stays at the last representable instant when it would pass it.
    #[must_use]
    pub fn after(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this instant is; zero when it is not after it.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_saturate_instead_of_wrapping() {
        let end = Timestamp::from_millis(i64::MAX - 1);
        assert_eq!(end.after(Duration::from_secs(60)).as_millis(), i64::MAX);
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(9).since(Timestamp::from_millis(5)), Duration::from_millis(4));
    }
}
