//! Log lines that could be many.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Something that may happen many times a second, and is said at most once in one.
#[derive(Debug)]
pub(crate) struct Cause {
    /// When it was last said, in ms of the process's life, plus one; 0: never.
    said: AtomicU64,
    unsaid: AtomicU64,
}

/// The least time between two lines of one cause.
const EVERY: Duration = Duration::from_secs(1);

impl Cause {
    pub(crate) const fn new() -> Cause {
        Cause { said: AtomicU64::new(0), unsaid: AtomicU64::new(0) }
    }

    /// Whether a line may be said now; if so, how many were not said since the last.
    pub(crate) fn may_say(&self) -> Option<u64> {
        static BEGIN: OnceLock<Instant> = OnceLock::new();
        self.may_say_at(BEGIN.get_or_init(Instant::now).elapsed())
    }

    fn may_say_at(&self, now: Duration) -> Option<u64> {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let said = self.said.load(Ordering::Relaxed);
        let due = said == 0 || u128::from(now.saturating_sub(said)) >= EVERY.as_millis();
        // Of several that find it due at the same time one says it.
        if due && self.said.compare_exchange(said, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return Some(self.unsaid.swap(0, Ordering::Relaxed));
        }
        self.unsaid.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once_a_second_with_how_often_it_was_not() {
        let cause = Cause::new();
        let at = |ms| cause.may_say_at(Duration::from_millis(ms));
        assert_eq!(at(0), Some(0), "also in the first millisecond");
        assert_eq!((at(0), at(400), at(999)), (None, None, None));
        assert_eq!(at(1000), Some(3));
        assert_eq!(at(1999), None);
        assert_eq!(at(60_000), Some(1));
        assert_eq!(at(61_500), Some(0), "nothing was unsaid");
    }

    #[test]
    fn causes_do_not_know_of_each_other() {
        let (a, b) = (Cause::new(), Cause::new());
        assert_eq!(a.may_say(), Some(0));
        assert_eq!(b.may_say(), Some(0));
    }

    #[test]
    fn of_many_threads_one_says_it_and_none_is_forgotten() {
        let cause = Cause::new();
        let said: usize = std::thread::scope(|scope| {
            let each = || (0..1000).filter(|_| cause.may_say_at(Duration::from_secs(5)).is_some()).count();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(each)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(said, 1);
        assert_eq!(cause.may_say_at(Duration::from_secs(9)), Some(7999));
    }
}
