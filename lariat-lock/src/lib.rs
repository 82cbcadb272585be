//! Leases kept alive.

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
