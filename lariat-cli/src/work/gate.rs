//! Whether jobs are taken: not while somebody asked for quiet, and not for a while after a command could not be spawned.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use lariat::Worker;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The gate before all of a process's workers.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    workers: OnceLock<Vec<Arc<Worker>>>,
    state: Mutex<State>,
}

/// Pure: time comes as an argument.
#[derive(Debug, Default)]
struct State {
    quiet: bool,
    paused_until: Option<Instant>,
    pause: Option<Duration>,
    shut: bool,
}

impl State {
    /// A command could not be spawned. Those that fail during a pause belong to the trouble that caused it.
    fn trouble(&mut self, now: Instant) -> Duration {
        if self.paused_until.is_none_or(|until| until <= now) {
            let pause = self.pause.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
            self.pause = Some(pause);
            self.paused_until = Some(now + pause);
        }
        self.paused_until.unwrap_or(now).saturating_duration_since(now)
    }

    /// A command was spawned: the next trouble is a new one.
    fn spawned(&mut self) {
        self.pause = None;
    }

    /// Whether the gate has to be moved, and to where: true is shut.
    fn turn(&mut self, now: Instant) -> Option<bool> {
        let shut = self.quiet || self.paused_until.is_some_and(|until| until > now);
        (shut != self.shut).then(|| {
            self.shut = shut;
            shut
        })
    }
}

impl Gate {
    /// The workers behind this gate; they are made with handlers that know the gate, so they come later than it does.
    pub(crate) fn stand_before(&self, workers: Vec<Arc<Worker>>) {
        // There is one crew.
        let _ = self.workers.set(workers);
        self.turn();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes no jobs until [`resume`](Self::resume).
    pub(crate) fn quiet(&self) {
        self.state().quiet = true;
        self.turn();
    }

    /// Takes jobs again; false where nobody had asked for quiet (CONT also comes after a STOP, which says nothing).
    pub(crate) fn resume(&self) -> bool {
        let was_quiet = std::mem::take(&mut self.state().quiet);
        self.turn();
        was_quiet
    }

    /// A command could not be spawned: takes no jobs for the time that is answered.
    pub(crate) fn trouble(&self) -> Duration {
        let pause = self.state().trouble(Instant::now());
        self.turn();
        pause
    }

    /// A command was spawned.
    pub(crate) fn spawned(&self) {
        self.state().spawned();
    }

    /// Opens the gate when a pause is over; to be called now and then.
    pub(crate) fn turn(&self) {
        let Some(workers) = self.workers.get() else { return };
        let mut state = self.state();
        // Under the lock, so that two turns cannot overtake each other.
        match state.turn(Instant::now()) {
            Some(true) => workers.iter().for_each(|worker| worker.quiet()),
            Some(false) => workers.iter().for_each(|worker| worker.resume()),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_a_command_is_spawned() {
        let (mut state, mut now) = (State::default(), Instant::now());
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(state.trouble(now), Duration::from_secs(seconds));
            assert_eq!(state.trouble(now), Duration::from_secs(seconds), "the same trouble");
            assert_eq!(state.turn(now), Some(true));
            now += Duration::from_secs(seconds);
            assert_eq!(state.turn(now), Some(false));
        }
        state.spawned();
        assert_eq!(state.trouble(now), FIRST_PAUSE);
    }

    #[test]
    fn going_on_is_told_from_never_having_stopped() {
        let gate = Gate::default();
        assert!(!gate.resume());
        gate.quiet();
        assert!(gate.resume());
        assert!(!gate.resume());
    }

    #[test]
    fn quiet_outlasts_a_pause() {
        let (mut state, now) = (State::default(), Instant::now());
        assert_eq!(state.turn(now), None);
        state.quiet = true;
        assert_eq!(state.turn(now), Some(true));
        state.trouble(now);
        assert_eq!(state.turn(now + FIRST_PAUSE), None);
        state.quiet = false;
        assert_eq!(state.turn(now + FIRST_PAUSE), Some(false));
    }
}
