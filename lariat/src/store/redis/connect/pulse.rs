//! One timer for all calls of a connection, and the news of its end.
//!
//! A timer per call would be set and taken back some ten thousand times a second, and on a runtime with several threads
//! each first one wakes the thread that sleeps in the operating system. While calls are under way a pulse beats instead,
//! and whoever waits looks at its own deadline then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Time between two beats: a deadline is met this much late at the most.
pub(super) const BEAT: Duration = Duration::from_millis(50);

#[derive(Default)]
pub(super) struct Pulse {
    /// Told at each beat, and when the connection has ended.
    stir: Notify,
    ended: AtomicBool,
    calls: AtomicUsize,
    /// Whether a call began since the last beat.
    recent: AtomicBool,
    beating: AtomicBool,
}

impl Pulse {
    /// The connection has ended: those who wait for its answers are told.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.stir.notify_waiters();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Resolves at the next beat or at the connection's end. To be enabled before the look at [`Pulse::has_ended`].
    pub(super) fn stirred(&self) -> Notified<'_> {
        self.stir.notified()
    }

    /// Keeps the pulse beating until the call is over, and one beat longer: the next call may follow at once.
    pub(super) fn call(self: &Arc<Self>) -> Call<'_> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.recent.store(true, Ordering::SeqCst);
        Call(self)
    }

    /// How many calls wait, and whether it beats.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> (usize, bool) {
        (self.calls.load(Ordering::SeqCst), self.beating.load(Ordering::SeqCst))
    }
}

/// A call that waits for its answer.
pub(super) struct Call<'a>(&'a Arc<Pulse>);

impl Call<'_> {
    /// Sees to it that there is a beat. To be called by whoever waits for the next one, once its [`Pulse::stirred`] is
    /// enabled: the last beat may have been that of a runtime that is gone.
    pub(super) fn keep_beating(&self) {
        if !self.0.beating.load(Ordering::SeqCst) && !self.0.beating.swap(true, Ordering::SeqCst) {
            let beating = Beating(Arc::clone(self.0));
            tokio::spawn(beating.run());
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The task that beats.
struct Beating(Arc<Pulse>);

impl Beating {
    async fn run(self) {
        let pulse = &self.0;
        loop {
            tokio::time::sleep(BEAT).await;
            pulse.stir.notify_waiters();
            let needed = pulse.recent.swap(false, Ordering::SeqCst) || pulse.calls.load(Ordering::SeqCst) > 0;
            if !needed || pulse.has_ended() {
                return;
            }
        }
    }
}

/// However the beat ends, also with its runtime, calls that wait are told, and one of them starts it anew. It is not done
/// from here: a runtime that is being shut down drops a new task at once, and that one would start the next.
impl Drop for Beating {
    fn drop(&mut self) {
        self.0.beating.store(false, Ordering::SeqCst);
        self.0.stir.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next_beat(pulse: &Pulse, call: &Call<'_>) {
        let stirred = pulse.stirred();
        tokio::pin!(stirred);
        stirred.as_mut().enable();
        call.keep_beating();
        stirred.await;
    }

    #[tokio::test(start_paused = true)]
    async fn beats_while_a_call_is_under_way_and_stops_after_it() {
        let pulse = Arc::new(Pulse::default());
        let call = pulse.call();
        for _ in 0..5 {
            next_beat(&pulse, &call).await;
        }
        drop(call);
        while pulse.beating.load(Ordering::SeqCst) {
            // sleep: time stands still here but for this
            tokio::time::sleep(BEAT).await;
        }
        let again = pulse.call();
        next_beat(&pulse, &again).await;
        drop(again);
    }

    #[tokio::test]
    async fn the_end_is_told_at_once() {
        let pulse = Arc::new(Pulse::default());
        let stirred = pulse.stirred();
        tokio::pin!(stirred);
        stirred.as_mut().enable();
        pulse.end();
        stirred.await;
        assert!(pulse.has_ended());
    }

    #[test]
    fn a_pulse_outlives_the_runtime_that_it_beat_in() {
        let pulse = Arc::new(Pulse::default());
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let call = pulse.call();
                next_beat(&pulse, &call).await;
            });
        }
    }
}
