//! When to connect again: the states of a link, without any I/O.

use std::time::Duration;

use tokio::time::Instant;

use super::dial::Connection;
use crate::error::Error;

/// Pause after the first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// `failures` counts attempts in a row that led to no answered call.
pub(super) enum State {
    /// No connection, and nothing against making one.
    Idle {
        failures: u32,
    },
    Dialling {
        failures: u32,
    },
    Up {
        connection: Connection,
        failures: u32,
    },
    /// The last attempt failed; the next is made by the first call after `until`.
    Down {
        until: Instant,
        failures: u32,
        why: Error,
    },
}

/// What a caller is to do.
pub(super) enum Next {
    Use(Connection),
    Fail(Error),
    Wait,
    Dial,
}

impl Default for State {
    fn default() -> State {
        State::Idle { failures: 0 }
    }
}

impl State {
    pub(super) fn next(&self, now: Instant) -> Next {
        match self {
            State::Up { connection, .. } if !connection.has_ended() => Next::Use(connection.clone()),
            State::Down { until, why, .. } if now < *until => Next::Fail(why.echo()),
            State::Idle { .. } | State::Up { .. } | State::Down { .. } => Next::Dial,
            State::Dialling { .. } => Next::Wait,
        }
    }

    /// The state after one more failure than `failures`. `random` is from 0 to 1.
    pub(super) fn down(failures: u32, why: &Error, now: Instant, longest: Duration, random: f64) -> State {
        let failures = failures.saturating_add(1);
        State::Down { until: now + pause(failures, longest, random), failures, why: why.echo() }
    }

    pub(super) fn failures(&self) -> u32 {
        match self {
            State::Up { connection, .. } if connection.has_answered() => 0,
            State::Idle { failures }
            | State::Dialling { failures }
            | State::Up { failures, .. }
            | State::Down { failures, .. } => *failures,
        }
    }

    pub(super) fn is_dialling(&self) -> bool {
        matches!(self, State::Dialling { .. })
    }

    pub(super) fn is(&self, other: &Connection) -> bool {
        matches!(self, State::Up { connection, .. } if connection.same(other))
    }
}

/// How long to leave a server alone after so many failures in a row: doubling, at most `longest`, of which a random half
/// is taken off so that clients that lost a server together do not come back together.
fn pause(failures: u32, longest: Duration, random: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(longest).mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const LONGEST: Duration = Duration::from_secs(2);

    #[test]
    fn pauses_double_up_to_the_longest_and_lose_at_most_half() {
        let most: Vec<u128> = (1..9).map(|failures| pause(failures, LONGEST, 1.0).as_millis()).collect();
        assert_eq!(most, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(pause(1, LONGEST, 0.0).as_millis(), 25);
        assert_eq!(pause(u32::MAX, LONGEST, 0.5).as_millis(), 1500);
    }

    #[test]
    fn after_a_failure_calls_fail_until_the_pause_is_over() {
        let now = Instant::now();
        let why = Error::new(ErrorKind::Denied, "no");
        let state = State::down(2, &why, now, LONGEST, 1.0);
        assert_eq!(state.failures(), 3);
        assert!(matches!(state.next(now), Next::Fail(error) if error.kind() == ErrorKind::Denied));
        assert!(matches!(state.next(now + Duration::from_millis(199)), Next::Fail(_)));
        assert!(matches!(state.next(now + Duration::from_millis(200)), Next::Dial));
    }

    #[test]
    fn one_attempt_at_a_time() {
        assert!(matches!(State::default().next(Instant::now()), Next::Dial));
        assert!(matches!(State::Dialling { failures: 0 }.next(Instant::now()), Next::Wait));
    }
}
