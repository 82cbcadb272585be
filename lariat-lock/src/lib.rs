//! Leases kept alive: one timer, one batched renewal, a verdict for each lock.
//!
//! A worker that takes a job takes a lock on it, which lapses unless it is renewed: if the worker dies, the job is
//! free again. This crate does the renewing, for any number of locks, against any store that can extend a lock. It
//! is the lock manager that BullMQ's workers have, made right, and it knows neither jobs nor queues nor Redis.
//!
//! ```
//! use std::time::Duration;
//! use lariat_lock::{Instant, LockManager, LossReason};
//! # use lariat_lock::testing::ScriptedStore;
//!
//! # async fn work() -> u32 { 42 }
//! # async fn send(_result: u32) {}
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = ScriptedStore::new();
//! let locks = LockManager::builder(store)
//!     .lock_duration(Duration::from_secs(30))
//!     .on_lock_renewal_failed(|lost| eprintln!("lost {} locks", lost.len()))
//!     .start()?;
//!
//! let since = Instant::now(); // before the lock is asked for
//! // ... the store grants the lock on "job-7" to the token "worker-1:7" ...
//! let guard = locks.track_job("job-7", "worker-1:7", since)?;
//!
//! tokio::select! {
//!     result = work() => {
//!         guard.settle()?;      // refused if the lock is lost
//!         send(result).await;   // still renewed meanwhile
//!     }
//!     reason = guard.lost() => eprintln!("stopped: {reason}"),
//! }
//! drop(guard); // no longer renewed
//!
//! locks.stop(Duration::from_secs(10)).await;
//! # Ok(())
//! # }
//! ```
//!
//! `examples/own_loop.rs` is a whole worker loop. To use it with a store of your own, implement [`LockStore`]: one
//! method, one call, a [`Verdict`] for each [`Claim`].
//!
//! # Who decides
//!
//! **The store is the judge.** A lock is a lease that the store gives and the store lets lapse, by its clock. What is
//! known here is old by the time it is known. So two rules hold throughout:
//!
//! - What is decided here can only make us *stop early*. It never makes a result count: the store checks the token
//!   when the result comes in, and refuses it if the token no longer holds the lock.
//! - *Unknown is not lost.* A call that fails or hangs says nothing about the lock. It is repeated while there is time.
//!   Only an answer can say that a lock is lost, and only the end of trust can do without an answer.
//!
//! # Trust
//!
//! After a grant the store keeps the lock for the *lock duration*, counted from when it handled the request. That
//! moment lies between our sending and our receiving, so we count from the sending, and stop a margin earlier:
//!
//! ```text
//!      sent            granted                              renewed by            trust ends      lock lapses
//! ─────┼───────────────┼──────────────────────────────────────┼──────────────────────┼──────────────┼────────▶
//!      │               └──────────── lock duration, by the store's clock ───────────────────────────┤
//!      ├──────────── lock renew time ──────────────────────────┤                     │
//!      └──────────── trust window = lock duration − margin ─────────────────────────┤    margin     │
//! ```
//!
//! The margin is a tenth of the lock duration, at least half a second, at most a quarter. The clock is monotonic and
//! counts the time a machine was suspended ([`Instant`]); no step of the wall clock matters. Trust moves forward on a
//! confirmed grant and on nothing else, to the moment that its request was sent.
//!
//! When trust ends without an answer the claim is **expired**: whoever works under it is told to stop, over no
//! network at all, while the store still keeps the lock for the length of the margin.
//!
//! No lease can promise more than that. A process that is frozen between asking its guard and writing to the world
//! writes late. Where that matters the world has to check a fencing value by itself.
//!
//! # The life of a claim
//!
//! ```text
//!                               take_due
//!                  ┌─────────────────────────────────▶┌───────────┐
//!   track ───▶ ┌───┴────┐   extended: trust moves     │ in flight │
//!              │ waiting│◀────────────────────────────┤           │
//!              └─┬─┬──┬─┘   no answer: again, sooner  └──┬─────┬──┘
//!                │ │  │                                  │     │ missing, taken
//!        untrack │ │  └──── end of trust ───┐   ┌────────┘     │
//!                │ │                        ▼   ▼              ▼
//!                │ │                      ┌─────────┐      ┌──────┐
//!                │ │                      │ expired │      │ lost │      both final, told once
//!                │ │                      └─────────┘      └──────┘
//!                │ │ settle
//!                │ └─────────▶ settling: waits and flies like the others, but neither a negative
//!                ▼                       answer nor the end of trust is reported
//!              gone  ◀──────── untrack, when the outcome is answered
//! ```
//!
//! **Settling** is for the time in which the outcome of the work is on its way to the store. The store's answer to it
//! is the verdict that counts, so no other is reported; and the lock is renewed on, so that a slow answer does not
//! fail for a lapsed lock. A claim is untracked when that answer is in, and not before.
//!
//! **Generations**: each tracking has a number of its own. A late answer, a late drop, a late anything carries the
//! number it belongs to, and cannot touch a newer claim of the same id.
//!
//! # Few calls
//!
//! Renewals happen at *ticks*, on a grid of half the renew time with a random phase. A tick takes every lock that
//! would pass its renew time before the next tick, in chunks of at most [`MAX_CLAIMS`], one in flight: the fewest
//! calls that keep the promise, two renewals per lock in a lock duration, and no herd of workers that tick together.
//! A chunk that fails fails alone and is repeated after a jittered pause. Each call has a deadline of a quarter of
//! the smallest trust left among its claims. When nothing is tracked, nothing ticks.
//!
//! # A thread of its own
//!
//! Renewals run on one thread per process, apart from the program's runtime: handlers that block every thread of that
//! lose no lock. Callbacks, events and log lines run on the runtime in which [`Builder::start`] was called, over a
//! bounded queue, so that no listener holds up a renewal. The driver is supervised: after a panic it starts again from
//! the kept table. Should it not run at all, a watchdog on the program's runtime tells the guards when their trust
//! ends, and [`LockManager::track_job`] refuses with [`TrackError::Broken`].
//!
//! # What always holds
//!
//! These invariants are checked after every step of every interleaving of a few claims (`tests/small_world.rs`):
//!
//! - (a) a claim untracked in flight is never reported lost;
//! - (b) a claim expired or lost is reported once and never renewed again;
//! - (c) at most one renewal is in flight for each claim;
//! - (d) an old reply cannot touch a new generation;
//! - (e) every claim has a wake-up no later than the end of its trust;
//! - (f) no claim goes longer than the renew time without an attempt, the wait for a call in flight aside;
//! - (g) a settling claim is never reported lost.
//!
//! # What to watch
//!
//! [`LockMetrics::trust_left`], the smallest trust left at each renewal, warns before anything is lost: at rest its
//! minimum stays near the trust window less the renew time (12 s of a lock of 30 s). Nearer to zero, the store is slow
//! or away, or the process gets too little CPU.

mod clock;
mod driver;
mod error;
mod event;
mod guard;
mod index;
mod manager;
mod metrics;
mod options;
mod relay;
mod store;
pub mod table;
mod terms;
pub mod testing;
mod thread;

pub use clock::Instant;
pub use error::{ConfigError, LossReason, TrackError};
pub use event::{LockEvent, LockEvents};
pub use guard::LockGuard;
pub use manager::{LockManager, TrackedJob};
pub use metrics::{Calls, Histogram, LockMetrics, Losses};
pub use options::Builder;
pub use store::{BoxFuture, Claim, LockStore, StoreError, Verdict};
pub use table::Lost;
pub use terms::{MAX_CLAIMS, Terms};
