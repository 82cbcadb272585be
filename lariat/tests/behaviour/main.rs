//! What the library promises, on a real server and in a real file. One program, so that it is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests report by panicking")]

mod add;
mod close;
mod damage;
mod faults;
mod file;
mod fixture;
mod locks;
mod recover;
mod work;
