//! Each transition through what is above the seam, while the first sending of each call goes wrong: no error is shown where
//! a repeat succeeds, and nothing is done twice.

use std::time::Duration;

use interop::wait;

use super::cases;
use super::world::{World, job};
use crate::job::{Job, JobError, JobState, Outcome};
use crate::store::faulty::{Call, Fault};
use crate::{Backoff, Queue, Worker};

cases! {
    completing,
    failing,
    retrying_at_once,
    retrying_after_a_backoff,
    delaying,
    putting_back,
    going_on_without_children,
    adding,
    renewing,
    recovering,
    changing_is_not_repeated,
    settings_are_not_repeated,
}

const MINUTE: Duration = Duration::from_secs(60);

/// What a handler says at each start, from the first.
type Handler = fn(&Job) -> Result<Outcome, JobError>;

/// What the job is to look like in the end: state, attempts made, starts.
type End = (JobState, u32, u32);

fn done() -> Result<Outcome, JobError> {
    Outcome::done(&1)
}

/// Runs a job under each fault of the exchange.
fn under_each_fault(w: &World, handler: Handler, end: End) {
    run(w, Duration::ZERO, handler, end);
}

fn run(w: &World, backoff: Duration, handler: Handler, end: End) {
    for fault in Fault::ALL {
        let (store, faults) = w.store.with_faults(Call::Exchange, fault);
        let id = w.runtime.block_on(async {
            let queue = Queue::new(&w.store, "q").unwrap();
            let id = queue.add("n", &1).attempts(2).backoff(Backoff::fixed(backoff)).await.unwrap();
            let worker = Worker::builder(&store, "q").start(move |job: Job| async move { handler(&job) }).unwrap();
            let state = || async { queue.job(&id).await.unwrap().unwrap().state };
            wait::until_async("it has ended", || async { state().await == Some(end.0) }).await;
            worker.close(MINUTE).await;
            id
        });
        let record = w.record(&id);
        assert_eq!((record.attempts_made, record.attempts_started), (end.1, end.2), "{fault:?}");
        assert!(faults.sent() >= 2, "{fault:?}");
        let told = w.told();
        let count = |event: &str| {
            let line = format!("{event} jobId={id} ");
            told.iter().filter(|told| told.starts_with(&line)).count()
        };
        assert_eq!(count("completed") + count("failed"), 1, "{fault:?}: {told:?}");
        assert_eq!(count("active"), end.2 as usize, "{fault:?}: {told:?}");
    }
}

fn completing(w: &World) {
    under_each_fault(w, |_| done(), (JobState::Completed, 1, 1));
}

fn failing(w: &World) {
    under_each_fault(w, |_| Err(JobError::fail("no")), (JobState::Failed, 1, 1));
}

fn retrying_at_once(w: &World) {
    let handler: Handler = |job| if job.starts() == 1 { Err(JobError::retry("no")) } else { done() };
    under_each_fault(w, handler, (JobState::Completed, 2, 2));
}

fn retrying_after_a_backoff(w: &World) {
    run(w, Duration::from_millis(5), |_| Err(JobError::retry("no")), (JobState::Failed, 2, 2));
}

fn delaying(w: &World) {
    let handler: Handler = |job| if job.starts() == 1 { Ok(Outcome::Delay(Duration::from_millis(5))) } else { done() };
    under_each_fault(w, handler, (JobState::Completed, 1, 2));
}

fn putting_back(w: &World) {
    under_each_fault(
        w,
        |job| if job.starts() < 3 { Ok(Outcome::PutBack) } else { done() },
        (JobState::Completed, 1, 3),
    );
}

fn going_on_without_children(w: &World) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    // Odd and even runs of one start after the other.
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let handler: Handler =
        |_| if RUNS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { Ok(Outcome::WaitForChildren) } else { done() };
    under_each_fault(w, handler, (JobState::Completed, 1, 1));
}

fn adding(w: &World) {
    for (n, fault) in Fault::ALL.into_iter().enumerate() {
        let (store, _) = w.store.with_faults(Call::Add, fault);
        let queue = Queue::new(&store, "q").unwrap().with_patience(MINUTE);
        w.runtime.block_on(async { queue.add("n", &1).await }).unwrap();
        w.runtime.block_on(async { queue.add("own", &1).id(format!("own-{n}")).await }).unwrap();
        let told = w.told();
        let added = told.iter().filter(|line| line.starts_with("added")).count();
        let twice = told.iter().any(|line| line.starts_with("duplicated"));
        assert_eq!((added, twice), (2, false), "{fault:?}: {told:?}");
    }
    assert_eq!(w.overview().counts.waiting, 6);
}

fn renewing(w: &World) {
    for fault in Fault::ALL {
        let (store, faults) = w.store.with_faults(Call::Extend, fault);
        let id = w.runtime.block_on(async {
            let queue = Queue::new(&w.store, "q").unwrap();
            let id = queue.add("n", &1).await.unwrap();
            let renewed = std::sync::Arc::clone(&faults);
            let handler = move |_: Job| {
                let renewed = std::sync::Arc::clone(&renewed);
                async move {
                    wait::until_async("its lock is renewed", || async { renewed.sent() >= 3 }).await;
                    done()
                }
            };
            let worker = Worker::builder(&store, "q").lock_duration(Duration::from_secs(3)).start(handler).unwrap();
            let state = || async { queue.job(&id).await.unwrap().unwrap().state };
            wait::until_async("it has ended", || async { state().await == Some(JobState::Completed) }).await;
            worker.close(MINUTE).await;
            id
        });
        let record = w.record(&id);
        assert_eq!((record.attempts_started, record.stalled_counter), (1, 0), "{fault:?}");
    }
}

fn recovering(w: &World) {
    for fault in Fault::ALL {
        let id = w.add(job());
        let lost = w.one();
        w.hands.lapse(lost.id.as_str());
        w.hands.forget_search();
        let (store, faults) = w.store.with_faults(Call::Recover, fault);
        w.runtime.block_on(async {
            let queue = Queue::new(&w.store, "q").unwrap();
            let often = Duration::from_millis(50);
            let worker = Worker::builder(&store, "q").stalled_interval(often).start(async |_: Job| done()).unwrap();
            let state = || async { queue.job(&id).await.unwrap().unwrap().state };
            wait::until_async("it has ended", || async { state().await == Some(JobState::Completed) }).await;
            worker.close(MINUTE).await;
        });
        let record = w.record(&id);
        assert_eq!((record.attempts_started, record.stalled_counter), (2, 1), "{fault:?}");
        assert!(faults.sent() >= 2);
    }
}

/// It may or may not be safe to do it twice: who asked is told which of the two it is.
fn changing_is_not_repeated(w: &World) {
    for fault in Fault::ALL {
        let id = w.add(job());
        let (store, faults) = w.store.with_faults(Call::Change, fault);
        let queue = Queue::new(&store, "q").unwrap();
        let answer = w.runtime.block_on(queue.edit(&id).log(vec!["row".into()], None));
        let rows = w.runtime.block_on(w.queue.logs(&id, 0, 9)).unwrap().total;
        match fault {
            Fault::Refuse => assert!(answer.is_err_and(|e| e.is_unreachable() && !e.is_unknown()) && rows == 0),
            Fault::Delay => assert!(answer.is_ok_and(|kept| kept == 1) && rows == 1),
            Fault::LoseReply => assert!(answer.is_err_and(|e| e.is_unknown()) && rows == 1),
        }
        assert_eq!(faults.sent(), 1);
    }
}

fn settings_are_not_repeated(w: &World) {
    for fault in Fault::ALL {
        let (store, _) = w.store.with_faults(Call::Configure, fault);
        let queue = Queue::new(&store, "q").unwrap();
        let answer = w.runtime.block_on(queue.pause());
        assert_eq!(answer.is_err_and(|error| error.is_unknown()), fault == Fault::LoseReply);
        assert_eq!(w.overview().paused, fault != Fault::Refuse);
        w.configure(crate::store::change::Setting::Resume);
    }
}
