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
        if !self.beating.load(Ordering::SeqCst) {
            self.start();
        }
        Call(self)
    }

    fn start(self: &Arc<Self>) {
        if !self.beating.swap(true, Ordering::SeqCst) {
            let beating = Beating(Arc::clone(self));
            tokio::spawn(beating.run());
        }
    }
}

/// A call that waits for its answer.
pub(super) struct Call<'a>(&'a Arc<Pulse>);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The task that beats. If its runtime ends before it, the next call starts another.
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

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.beating.store(false, Ordering::SeqCst);
        // A call that began between the last look and here found the pulse beating, and would wait without it.
        let missed = self.0.calls.load(Ordering::SeqCst) > 0 && !self.0.has_ended();
        if missed && tokio::runtime::Handle::try_current().is_ok() {
            self.0.start();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn beats_while_a_call_is_under_way_and_stops_after_it() {
        let pulse = Arc::new(Pulse::default());
        let call = pulse.call();
        for _ in 0..5 {
            pulse.stirred().await;
        }
        drop(call);
        while pulse.beating.load(Ordering::SeqCst) {
            tokio::time::sleep(BEAT).await;
        }
        let again = pulse.call();
        pulse.stirred().await;
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
                let _call = pulse.call();
                pulse.stirred().await;
            });
        }
    }
}
