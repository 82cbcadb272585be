//! After a failed attempt: again, when, or never. Pure; chance and time come as arguments.

use std::time::Duration;

use crate::job::{Backoff, BackoffKind, JobOptions};

/// The longest wait in milliseconds, far beyond any due time that a store accepts: whoever schedules it caps it.
const LONGEST: f64 = 4e15;

/// What follows a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Back to the queue at once.
    Now,
    /// Back to the queue after this time.
    After(Duration),
    /// Failed for good.
    Never,
}

/// Decides what follows, `attempts_made` being the attempts that had ended before this one, and `chance` a number from
/// 0 (inclusive) to 1 (exclusive).
///
/// A strategy that this process does not know is an error: the text says so, and the job fails for good with it rather
/// than being left to stall as BullMQ does.
pub(crate) fn decide(
    options: &JobOptions,
    attempts_made: u32,
    may_retry: bool,
    chance: f64,
) -> Result<Decision, String> {
    let made = attempts_made.saturating_add(1);
    if !may_retry || made >= options.attempts.max(1) {
        return Ok(Decision::Never);
    }
    let delay = match &options.backoff {
        None => Duration::ZERO,
        Some(backoff) => delay(backoff, made, chance)?,
    };
    Ok(if delay.as_millis() == 0 { Decision::Now } else { Decision::After(delay) })
}

/// The wait before the attempt that follows attempt number `made`, as BullMQ computes it: exponential is
/// `2^(made - 1) x d`; jitter `j` draws a whole number of milliseconds from the upper `j` part of the wait.
pub(crate) fn delay(backoff: &Backoff, made: u32, chance: f64) -> Result<Duration, String> {
    let base = backoff.delay.as_secs_f64() * 1000.0;
    let full = match &backoff.kind {
        BackoffKind::Fixed => base,
        BackoffKind::Exponential => (2f64.powf(f64::from(made) - 1.0) * base).round(),
        BackoffKind::Custom(name) => return Err(format!("unknown backoff strategy {name:?}")),
    };
    let ms = if backoff.jitter > 0.0 {
        (chance * full * backoff.jitter + full * (1.0 - backoff.jitter)).floor()
    } else {
        full
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 4e15 after the clamp")]
    let whole = ms.clamp(0.0, LONGEST) as u64;
    Ok(Duration::from_millis(whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn options(attempts: u32, backoff: Option<Backoff>) -> JobOptions {
        JobOptions { attempts, backoff, ..JobOptions::default() }
    }

    #[test]
    fn attempts_are_counted_with_this_one() {
        assert_eq!(decide(&options(0, None), 0, true, 0.0), Ok(Decision::Never));
        assert_eq!(decide(&options(1, None), 0, true, 0.0), Ok(Decision::Never));
        assert_eq!(decide(&options(3, None), 1, true, 0.0), Ok(Decision::Now));
        assert_eq!(decide(&options(3, None), 2, true, 0.0), Ok(Decision::Never));
        assert_eq!(decide(&options(9, None), 0, false, 0.0), Ok(Decision::Never));
    }

    #[test]
    fn fixed_stays_and_exponential_doubles() {
        let fixed = Backoff::fixed(Duration::from_millis(100));
        let doubling = Backoff::exponential(Duration::from_millis(100));
        for made in 1..6 {
            assert_eq!(delay(&fixed, made, 0.9), Ok(Duration::from_millis(100)));
            assert_eq!(delay(&doubling, made, 0.9), Ok(Duration::from_millis(100 << (made - 1))));
        }
    }

    #[test]
    fn an_endless_backoff_saturates() {
        let doubling = Backoff::exponential(Duration::from_secs(3600));
        assert!(delay(&doubling, 4000, 0.0).unwrap() >= Duration::from_secs(u64::from(u32::MAX)));
    }

    #[test]
    fn an_unknown_strategy_is_named() {
        let odd = Backoff { kind: BackoffKind::Custom("moon".into()), delay: Duration::ZERO, jitter: 0.0 };
        assert!(decide(&options(3, Some(odd)), 0, true, 0.0).unwrap_err().contains("moon"));
    }

    proptest! {
        #[test]
        fn jitter_draws_from_the_upper_part(d in 1u64..100_000, j in 0.01f64..=1.0, chance in 0.0f64..1.0, made in 1u32..8) {
            let plain = Backoff::exponential(Duration::from_millis(d));
            let full = delay(&plain, made, 0.0).unwrap().as_secs_f64() * 1000.0;
            let drawn = delay(&plain.clone().jitter(j), made, chance).unwrap().as_secs_f64() * 1000.0;
            prop_assert!(drawn <= full);
            prop_assert!(drawn >= (full * (1.0 - j)).floor() - 1.0);
        }
    }
}
