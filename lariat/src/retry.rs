//! After a failed attempt: again, when, or never. Pure; chance and the strategies that only this process knows come as
//! arguments.

use std::time::Duration;

use crate::job::{Backoff, BackoffKind, JobOptions};

/// The longest wait in milliseconds, far beyond any due time that a store accepts: whoever schedules it caps it.
const LONGEST: f64 = 4e15;

/// What follows a failed attempt; also what a [backoff strategy](crate::WorkerBuilder::backoff_strategy) answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextAttempt {
    /// Back to the queue at once (BullMQ's 0).
    AtOnce,
    /// Back to the queue after this time, in whole milliseconds; less than one is at once.
    After(Duration),
    /// None: the job has failed for good, whatever attempts are left (BullMQ's -1).
    Never,
}

/// Decides what follows, `attempts_made` being the attempts that had ended before this one, and `chance` a number from
/// 0 (inclusive) to 1 (exclusive). `custom` is asked about a backoff that is neither fixed nor exponential, with its name
/// and the attempts made, this one included.
///
/// A strategy that this process does not know is an error: the text says so, and the job fails for good with it rather
/// than being left to stall as BullMQ does.
pub(crate) fn decide(
    options: &JobOptions,
    attempts_made: u32,
    may_retry: bool,
    chance: f64,
    custom: impl FnOnce(&str, u32) -> Result<NextAttempt, String>,
) -> Result<NextAttempt, String> {
    let made = attempts_made.saturating_add(1);
    if !may_retry || made >= options.attempts.max(1) {
        return Ok(NextAttempt::Never);
    }
    let next = match &options.backoff {
        None => NextAttempt::AtOnce,
        Some(Backoff { kind: BackoffKind::Custom(name), .. }) => custom(name, made)?,
        Some(backoff) => NextAttempt::After(delay(backoff, made, chance)?),
    };
    Ok(match next {
        NextAttempt::After(delay) if delay.as_millis() == 0 => NextAttempt::AtOnce,
        other => other,
    })
}

/// The words for a strategy that nobody here knows.
pub(crate) fn unknown(strategy: &str) -> String {
    format!("unknown backoff strategy {strategy:?}")
}

/// The wait before the attempt that follows attempt number `made`, as BullMQ computes it: exponential is
/// `2^(made - 1) x d`; jitter `j` draws a whole number of milliseconds from the upper `j` part of the wait.
pub(crate) fn delay(backoff: &Backoff, made: u32, chance: f64) -> Result<Duration, String> {
    let base = backoff.delay.as_secs_f64() * 1000.0;
    let full = match &backoff.kind {
        BackoffKind::Fixed => base,
        BackoffKind::Exponential => (2f64.powf(f64::from(made) - 1.0) * base).round(),
        BackoffKind::Custom(name) => return Err(unknown(name)),
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

    fn plain(options: &JobOptions, made: u32, may_retry: bool) -> Result<NextAttempt, String> {
        decide(options, made, may_retry, 0.0, |name, _| Err(unknown(name)))
    }

    #[test]
    fn attempts_are_counted_with_this_one() {
        assert_eq!(plain(&options(0, None), 0, true), Ok(NextAttempt::Never));
        assert_eq!(plain(&options(1, None), 0, true), Ok(NextAttempt::Never));
        assert_eq!(plain(&options(3, None), 1, true), Ok(NextAttempt::AtOnce));
        assert_eq!(plain(&options(3, None), 2, true), Ok(NextAttempt::Never));
        assert_eq!(plain(&options(9, None), 0, false), Ok(NextAttempt::Never));
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
        let odd = Backoff::custom("moon", Duration::ZERO);
        assert!(delay(&odd, 1, 0.0).unwrap_err().contains("moon"));
        assert!(plain(&options(3, Some(odd)), 0, true).unwrap_err().contains("moon"));
    }

    #[test]
    fn a_strategy_is_asked_about_what_is_left_to_it_and_believed() {
        let moon = options(9, Some(Backoff::custom("moon", Duration::from_secs(7))));
        let ask = |made, answer: NextAttempt| {
            decide(&moon, made, true, 0.5, |name, made| {
                assert_eq!(name, "moon");
                Ok(if made == 3 { answer } else { NextAttempt::After(Duration::from_secs(u64::from(made))) })
            })
        };
        assert_eq!(
            ask(0, NextAttempt::Never),
            Ok(NextAttempt::After(Duration::from_secs(1))),
            "no jitter, no base delay"
        );
        assert_eq!(ask(2, NextAttempt::Never), Ok(NextAttempt::Never));
        assert_eq!(ask(2, NextAttempt::After(Duration::from_micros(999))), Ok(NextAttempt::AtOnce));
        assert_eq!(ask(8, NextAttempt::AtOnce), Ok(NextAttempt::Never), "no attempt is left, so it is not asked");
        let fixed = options(9, Some(Backoff::fixed(Duration::from_secs(2))));
        let answer = decide(&fixed, 0, true, 0.0, |_, _| Ok(NextAttempt::Never));
        assert_eq!(answer, Ok(NextAttempt::After(Duration::from_secs(2))), "ours are not left to a strategy");
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
