//! Stored instants: Unix time in milliseconds, as BullMQ writes them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
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

/// Where `now` comes from: the wall clock, or a hand that a test moves. Clones go by the same hand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock {
    hand: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// One that stands still, from now on.
    #[cfg(any(test, feature = "sqlite"))]
    pub(crate) fn standing() -> Clock {
        Clock { hand: Some(Arc::new(AtomicI64::new(Timestamp::now().0))) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.hand.as_ref().map_or_else(Timestamp::now, |hand| Timestamp(hand.load(Ordering::SeqCst)))
    }

    /// Whether time passes only when somebody moves it.
    pub(crate) fn stands(&self) -> bool {
        self.hand.is_some()
    }

    /// Whether it is the same standing clock.
    #[cfg(feature = "sqlite")]
    pub(crate) fn is(&self, other: &Clock) -> bool {
        matches!((&self.hand, &other.hand), (Some(mine), Some(other)) if Arc::ptr_eq(mine, other))
    }

    /// Moves a standing clock on, never back. The wall clock is left alone.
    #[cfg(any(test, feature = "sqlite"))]
    pub(crate) fn move_to(&self, to: Timestamp) {
        if let Some(hand) = &self.hand {
            hand.fetch_max(to.0, Ordering::SeqCst);
        }
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
    fn a_standing_clock_moves_only_when_it_is_moved_and_only_on() {
        let clock = Clock::standing();
        let (start, same) = (clock.now(), clock.clone());
        clock.move_to(start.after(Duration::from_secs(5)));
        clock.move_to(start);
        assert_eq!((same.now().since(start), same.stands()), (Duration::from_secs(5), true));
        assert!(!Clock::default().stands());
    }

    #[test]
    fn spans_saturate_instead_of_wrapping() {
        let end = Timestamp::from_millis(i64::MAX - 1);
        assert_eq!(end.after(Duration::from_secs(60)).as_millis(), i64::MAX);
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(9).since(Timestamp::from_millis(5)), Duration::from_millis(4));
    }
}
