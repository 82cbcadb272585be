//! What the library promises, against a real server. One program, so that it is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests report by panicking")]

mod add;
mod close;
mod damage;
mod faults;
mod fixture;
mod lane;
mod locks;
mod recover;
mod work;
