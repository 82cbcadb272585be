//! The test kit: real servers, faults on the wire, and the real `BullMQ` beside them. Unpublished.
//!
//! - [`redis`]: a `redis-server` of the test's own, that can be frozen, killed and started again.
//! - [`proxy`]: a TCP proxy in front of it, with scripted faults: lose the reply to one call, hold, cut, refuse.
//! - [`node`]: one Node process with npm `bullmq`, driven step by step, with a clock that stands still.
//! - [`keyspace`]: a whole database as comparable data, and a diff that can be read.
//! - [`agreement`]: the three above as one fixture: the same steps through `BullMQ`'s scripts and through ours.
//! - [`wait`]: wait for a condition instead of for a time.
//!
//! Nothing here needs an async runtime, so all of it works in plain tests and in `#[tokio::test]`; what may take long
//! has an `async` form too. It must not depend on `lariat`: the tests of `lariat` stand on it. A kit that cannot do
//! its work panics with a message that says what to do: in a test nothing else is of use.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test kit reports by panicking")]
#![allow(clippy::missing_panics_doc, reason = "everything here panics when the machine does not do what a test needs")]

pub mod agreement;
pub mod keyspace;
pub mod node;
pub mod proxy;
pub mod redis;
pub mod wait;
