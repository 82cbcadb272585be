//! What turns the table: sleep, call with a deadline, bring the answer back. Nothing is decided here.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::clock::Instant;
use crate::error::TrackError;
use crate::event::{Hub, LockEvent, Notice};
use crate::guard::Held;
use crate::metrics::LockMetrics;
use crate::store::{Claim, LockStore, StoreError, Verdict};
use crate::table::{Chunk, Key, LockTable, Loss};
use crate::terms::{MAX_CLAIMS, Terms};

/// Longest sleep while anything is tracked: timers stand still in suspend, the clock of a lease does not.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// How far behind its plan the driver may be, and for how long that may be seen, before it counts as not running.
const LATE: Duration = Duration::from_secs(2);
/// Panics in a row, without a finished call, from which on the driver counts as not running.
const BROKEN_AFTER: u32 = 5;
/// What the watchdog leaves the driver to notice an end of trust by itself.
const WATCH_GRACE: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Running,
    /// Told to stop: nothing new is tracked, what is tracked is renewed.
    Draining,
    /// Past the deadline of a stop: nothing is renewed, trust runs out.
    Lapsing,
    Ended,
}

#[derive(Debug)]
struct State {
    table: LockTable<Arc<Held>>,
    stage: Stage,
    /// When the driver wakes up by itself; none while it sleeps until it is woken.
    planned: Option<Instant>,
    /// A plan that was found overdue, and when that was.
    overdue: Option<(Instant, Instant)>,
    /// Whether the watchdog sleeps until it is woken.
    unwatched: bool,
    /// Whether anything was tracked since the driver last looked.
    fresh: bool,
    /// Whether anything was tracked since the watchdog last looked.
    unseen: bool,
    panics: u32,
    metrics: LockMetrics,
}

impl State {
    fn count(&mut self, losses: &[Loss<Arc<Held>>]) {
        for loss in losses {
            self.metrics.lost.count(loss.lost.reason);
        }
    }

    /// Whether the driver does not run. One that is far behind its plan may just have been asleep with everybody else
    /// (a suspended machine, a stopped process): it has some time to wake up from when that is first seen.
    fn stands_still(&mut self, now: Instant) -> bool {
        let Some(planned) = self.planned.filter(|planned| *planned + LATE < now) else { return false };
        match self.overdue {
            Some((known, seen)) if known == planned => seen + LATE < now,
            _ => {
                self.overdue = Some((planned, now));
                false
            }
        }
    }
}

enum Step {
    Announce(Vec<Loss<Arc<Held>>>),
    Call(Chunk),
    Sleep(Duration),
    Idle,
    End,
}

/// One manager: its table behind a short lock, and the ways to wake those who wait.
pub(crate) struct Core {
    terms: Terms,
    /// None once the last handle is gone.
    store: Mutex<Option<Arc<dyn LockStore>>>,
    state: Mutex<State>,
    tracked: AtomicUsize,
    wake: Notify,
    watched: Notify,
    drained: Notify,
    hub: Hub,
}

impl Core {
    pub(crate) fn new(terms: Terms, store: Arc<dyn LockStore>) -> Self {
        let phase = terms.tick().mul_f64(fastrand::f64());
        let state = State {
            table: LockTable::new(terms, phase),
            stage: Stage::Running,
            planned: None,
            overdue: None,
            unwatched: false,
            fresh: false,
            unseen: false,
            panics: 0,
            metrics: LockMetrics::default(),
        };
        Self {
            terms,
            store: Mutex::new(Some(store)),
            state: Mutex::new(state),
            tracked: AtomicUsize::new(0),
            wake: Notify::new(),
            watched: Notify::new(),
            drained: Notify::new(),
            hub: Hub::default(),
        }
    }

    pub(crate) const fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn tracked(&self) -> usize {
        self.tracked.load(Ordering::Acquire)
    }

    /// Runs `job` on the state. No I/O, no foreign code and no waiting happens under this lock.
    fn with<R>(&self, job: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let before = state.table.len();
        let result = job(&mut state);
        let tracked = state.table.len();
        self.tracked.store(tracked, Ordering::Release);
        let drained = tracked == 0 && before > 0 && state.stage > Stage::Running;
        drop(state);
        if drained {
            self.drained.notify_waiters();
            self.wake.notify_one();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| {
            // Somebody panicked half way: the claims themselves are whole, the indexes may not be.
            let mut state = poisoned.into_inner();
            state.table.rebuild(Instant::now(), fastrand::f64());
            self.state.clear_poison();
            state
        })
    }

    pub(crate) fn track(&self, claim: Claim, since: Instant) -> Result<(Arc<Held>, Key), TrackError> {
        let held = Arc::new(Held::new(claim.clone()));
        let holder = Arc::clone(&held);
        let (key, early, unwatched) = self.with(|state| {
            let now = Instant::now();
            if state.stage != Stage::Running {
                return Err(TrackError::Stopped);
            }
            if state.panics >= BROKEN_AFTER || state.stands_still(now) {
                return Err(TrackError::Broken);
            }
            let key = state.table.track(claim, since, now, holder)?;
            (state.fresh, state.unseen) = (true, true);
            let first = state.table.wakeup_of(key);
            let early = state.planned.is_none_or(|planned| first.is_some_and(|first| first < planned));
            if early {
                state.planned = Some(now);
            }
            Ok((key, early, std::mem::take(&mut state.unwatched)))
        })?;
        // The lock thread is not woken per job, only when it would sleep too long.
        if early {
            self.wake.notify_one();
        }
        if early || unwatched {
            self.watched.notify_one();
        }
        Ok((held, key))
    }

    pub(crate) fn untrack(&self, key: Key) {
        // The holder is dropped here, outside the lock.
        drop(self.with(|state| state.table.untrack(key)));
    }

    pub(crate) fn untrack_id(&self, id: &str) -> bool {
        self.with(|state| state.table.untrack_id(id)) > 0
    }

    pub(crate) fn begin_settling(&self, key: Key) {
        self.lose_one(|table| table.begin_settling(key, Instant::now()));
    }

    pub(crate) fn expire_now(&self, key: Key) {
        self.lose_one(|table| table.expire_one(key, Instant::now()));
    }

    fn lose_one(&self, job: impl FnOnce(&mut LockTable<Arc<Held>>) -> Option<Loss<Arc<Held>>>) {
        let loss = self.with(|state| {
            let loss = job(&mut state.table);
            state.count(loss.as_slice());
            loss
        });
        self.announce(loss.into_iter().collect());
    }

    pub(crate) fn confirm(&self, key: Key, since: Instant) {
        self.with(|state| state.table.confirm(key, since, Instant::now()));
    }

    /// Looks at the table without changing it.
    pub(crate) fn look<R>(&self, job: impl FnOnce(&LockTable<Arc<Held>>) -> R) -> R {
        job(&self.lock().table)
    }

    pub(crate) fn metrics(&self) -> LockMetrics {
        let state = self.lock();
        let mut metrics = state.metrics.clone();
        metrics.tracked = state.table.len();
        metrics.due = state.table.due_count(Instant::now());
        metrics.dropped_events = self.hub.dropped();
        metrics
    }

    /// Moves on to a later stage; never back.
    pub(crate) fn advance(&self, stage: Stage) {
        self.with(|state| state.stage = state.stage.max(stage));
        self.wake.notify_one();
        self.watched.notify_one();
    }

    /// Waits until nothing is tracked.
    pub(crate) async fn drained(&self) {
        loop {
            let mut drained = std::pin::pin!(self.drained.notified());
            drained.as_mut().enable();
            if self.tracked() == 0 {
                return;
            }
            drained.await;
        }
    }

    /// Wakes the guards, then tells the listeners. Outside the lock, since wakers are foreign code.
    fn announce(&self, losses: Vec<Loss<Arc<Held>>>) {
        if losses.is_empty() {
            return;
        }
        let told = losses.into_iter().map(|loss| {
            loss.holder.wake();
            loss.lost
        });
        self.hub.send(&Notice::Lost(told.collect()));
    }

    fn step(&self) -> Step {
        self.with(|state| {
            let now = Instant::now();
            if state.stage == Stage::Ended || (state.stage > Stage::Running && state.table.is_empty()) {
                return Step::End;
            }
            let losses = state.table.expire(now, MAX_CLAIMS);
            if !losses.is_empty() {
                state.count(&losses);
                return Step::Announce(losses);
            }
            let renewing = state.stage < Stage::Lapsing;
            if renewing && let Some(chunk) = state.table.take_due(now) {
                state.metrics.tick_lag.record(now - chunk.due);
                state.metrics.claims_sent += chunk.claims.len() as u64;
                state.metrics.retries += chunk.retries as u64;
                state.planned = Some(chunk.deadline);
                return Step::Call(chunk);
            }
            let wakeup = if renewing { state.table.next_wakeup() } else { state.table.next_expiry() };
            if state.table.is_empty() {
                state.panics = 0;
            }
            let pause = match wakeup {
                Some(at) => Some((at - now).min(LONGEST_SLEEP)),
                // Short jobs come and go: looking again once spares each of them a wake-up of this thread.
                None if std::mem::take(&mut state.fresh) => Some(self.terms.tick().min(LONGEST_SLEEP)),
                None => None,
            };
            state.planned = pause.map(|pause| now + pause);
            pause.map_or(Step::Idle, Step::Sleep)
        })
    }

    /// What the driver does while a call is out: report ends of trust. Gives the time until it must look again,
    /// or none when the call is past its deadline.
    fn wait_for(&self, chunk: &Chunk) -> Option<Duration> {
        loop {
            let (losses, wait) = self.with(|state| {
                let now = Instant::now();
                let losses = state.table.expire(now, MAX_CLAIMS);
                state.count(&losses);
                let until = state.table.next_expiry().map_or(chunk.deadline, |end| end.min(chunk.deadline));
                let pause = (until - now).min(LONGEST_SLEEP);
                state.planned = Some(now + pause);
                let over = chunk.deadline <= now || state.stage == Stage::Ended;
                (losses, if over { None } else { Some(pause) })
            });
            if losses.is_empty() {
                return wait;
            }
            self.announce(losses);
        }
    }

    fn store(&self) -> MutexGuard<'_, Option<Arc<dyn LockStore>>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the store, where no call is out: whoever drops the last handle may count on it, and need not wait for the tasks
    /// here to end.
    pub(crate) fn let_go(&self) {
        let store = self.store().take();
        // Not under the lock: it may take its time.
        drop(store);
    }

    /// Gives up a call's hold on the store. Where that is the last one, a file may have to be closed, say: no other manager
    /// of this thread is to wait for that.
    fn hand_back(&self, store: Arc<dyn LockStore>) {
        let kept = self.store();
        if kept.is_some() {
            drop(store);
        } else {
            drop(tokio::task::spawn_blocking(move || drop(store)));
        }
    }

    async fn renew(&self, chunk: Chunk) {
        let Some(store) = self.store().clone() else { return };
        let answer = {
            let mut call = store.extend(&chunk.claims, self.terms.lock_duration());
            loop {
                // The call is polled between any two looks at its deadline, so an answer that is there gets read.
                let Some(pause) = self.wait_for(&chunk) else { break None };
                tokio::select! {
                    biased;
                    answer = &mut call => break Some(answer),
                    () = sleep(pause) => {}
                    () = self.wake.notified() => {}
                }
            }
        };
        self.hand_back(store);
        match answer {
            Some(Ok(verdicts)) if verdicts.len() == chunk.claims.len() => self.answered(chunk, &verdicts),
            Some(Ok(verdicts)) => {
                let wrong = format!("the store gave {} verdicts for {} claims", verdicts.len(), chunk.claims.len());
                self.unanswered(&chunk, &StoreError::new(wrong), false);
            }
            Some(Err(error)) => self.unanswered(&chunk, &error, false),
            None => self.unanswered(&chunk, &StoreError::new("no answer before the deadline"), true),
        }
    }

    fn answered(&self, chunk: Chunk, verdicts: &[Verdict]) {
        let (sent, trust_left) = (chunk.sent, chunk.trust_left);
        let (settled, latency) = self.with(|state| {
            let now = Instant::now();
            let settled = state.table.settle(chunk, verdicts, now);
            state.panics = 0;
            let metrics = &mut state.metrics;
            let calls = &mut metrics.calls;
            let whole = settled.renewed.len() == verdicts.len();
            *(if whole { &mut calls.ok } else { &mut calls.partial }) += 1;
            metrics.call_latency.record(now - sent);
            metrics.renewed += settled.renewed.len() as u64;
            if let Some(left) = trust_left {
                metrics.trust_left.record(left);
            }
            state.count(&settled.losses);
            (settled, now - sent)
        });
        self.announce(settled.losses);
        if !settled.renewed.is_empty() && self.hub.wants_renewed() {
            let ids = settled.renewed.into_iter().map(|claim| claim.id).collect();
            self.hub.send(&Notice::Event(LockEvent::Renewed { ids, latency, trust_left }));
        }
    }

    fn unanswered(&self, chunk: &Chunk, error: &StoreError, timed_out: bool) {
        let (latency, retry_in) = self.with(|state| {
            let now = Instant::now();
            let retry_in = state.table.unknown(chunk, now, fastrand::f64());
            state.panics = 0;
            let calls = &mut state.metrics.calls;
            *(if timed_out { &mut calls.timed_out } else { &mut calls.failed }) += 1;
            state.metrics.call_latency.record(now - chunk.sent);
            (now - chunk.sent, retry_in)
        });
        let (claims, error) = (chunk.claims.len(), error.to_string().into());
        self.hub.send(&Notice::Event(LockEvent::CallFailed { claims, error, timed_out, latency, retry_in }));
    }
}

async fn drive(core: Arc<Core>) {
    loop {
        match core.step() {
            Step::Announce(losses) => core.announce(losses),
            Step::Call(chunk) => core.renew(chunk).await,
            Step::Sleep(pause) => {
                tokio::select! {
                    () = sleep(pause) => {}
                    () = core.wake.notified() => {}
                }
                core.with(|state| state.metrics.wakeups += 1);
            }
            Step::Idle => {
                core.wake.notified().await;
                core.with(|state| state.metrics.wakeups += 1);
            }
            Step::End => return,
        }
    }
}

/// Runs the driver until the manager ends, and again from the kept table whenever it panics.
pub(crate) async fn supervise(core: Arc<Core>) {
    loop {
        let Err(failure) = tokio::spawn(drive(Arc::clone(&core))).await else { break };
        // Cancelled: the runtime is shutting down.
        let Ok(panic) = failure.try_into_panic() else { break };
        let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".to_owned());
        let (restarts, pause) = core.with(|state| {
            state.table.rebuild(Instant::now(), fastrand::f64());
            state.metrics.restarts += 1;
            state.panics += 1;
            let pause = Duration::from_millis(5 << state.panics.min(8)).min(LONGEST_SLEEP);
            state.planned = Some(Instant::now() + pause);
            (state.metrics.restarts, pause)
        });
        core.hub.send(&Notice::Event(LockEvent::Restarted { restarts, panic: said.into() }));
        sleep(pause).await;
    }
    core.hub.close();
    core.advance(Stage::Ended);
}

/// Reports ends of trust from the program's own runtime, should the lock thread be late: a handler must be stopped
/// also when that thread cannot run at all.
pub(crate) async fn watch(core: Arc<Core>) {
    loop {
        let (losses, pause, ended) = core.with(|state| {
            let now = Instant::now();
            let losses = state.table.expire(now - WATCH_GRACE, MAX_CLAIMS);
            state.count(&losses);
            let pause = state.table.next_expiry().map(|end| (end + WATCH_GRACE) - now);
            // Where short jobs follow each other, each would wake it and be over by then. So it dozes once more before it
            // sleeps until it is woken; what is tracked meanwhile, from a grant that is
            // not old, is trusted for longer than that.
            let doze = std::mem::take(&mut state.unseen).then(|| core.terms.trust_window() / 2);
            let pause = pause.or(doze).map(|pause| pause.min(LONGEST_SLEEP));
            state.unwatched = pause.is_none();
            (losses, pause, state.stage == Stage::Ended)
        });
        core.announce(losses);
        match pause {
            _ if ended => return,
            Some(pause) => sleep(pause).await,
            None => core.watched.notified().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ScriptedStore;

    /// A manager's insides whose driver does not run.
    fn undriven() -> Arc<Core> {
        let terms = Terms::new(Duration::from_secs(1), None).unwrap();
        Arc::new(Core::new(terms, Arc::new(ScriptedStore::new())))
    }

    fn long_ago() -> Instant {
        Instant::now() - 10 * LATE
    }

    #[test]
    fn a_driver_that_was_frozen_with_everybody_has_time_to_wake_up() {
        let core = undriven();
        let track = || core.track(Claim::new("a", "t"), Instant::now()).map(drop);
        assert_eq!(track(), Ok(()));
        core.with(|state| state.planned = Some(long_ago()));
        assert_eq!((track(), track()), (Ok(()), Ok(())), "it has only just been seen to be late");
        core.with(|state| state.overdue = state.overdue.map(|(plan, _)| (plan, long_ago())));
        assert_eq!(track(), Err(TrackError::Broken), "it has been seen to be late for long");
        core.with(|state| state.planned = Some(long_ago() - LATE));
        assert_eq!(track(), Ok(()), "it ran in between");
    }

    #[tokio::test(start_paused = true)]
    async fn short_claims_that_follow_each_other_do_not_wake_the_watchdog_each_time() {
        let core = undriven();
        tokio::spawn(watch(Arc::clone(&core)));
        let asleep = || core.with(|state| state.unwatched);
        while !asleep() {
            tokio::task::yield_now().await;
        }
        for _ in 0..3 {
            let (_, key) = core.track(Claim::new("a", "t"), Instant::now()).unwrap();
            core.untrack(key);
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            assert!(!asleep(), "it dozes, and need not be woken by the next");
        }
        // sleep: on a paused clock.
        tokio::time::sleep(2 * LONGEST_SLEEP).await;
        assert!(asleep(), "nothing came: it sleeps until it is woken");
    }

    #[tokio::test]
    async fn the_watchdog_is_woken_also_when_the_driver_need_not_be() {
        let core = undriven();
        tokio::spawn(watch(Arc::clone(&core)));
        while !core.with(|state| state.unwatched) {
            tokio::task::yield_now().await;
        }
        core.with(|state| state.planned = Some(Instant::now()));
        core.track(Claim::new("a", "t"), Instant::now() - Duration::from_millis(700)).unwrap();
        let expired = async {
            while core.tracked() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), expired).await.unwrap();
    }
}
