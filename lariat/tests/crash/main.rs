//! What a SQLite file survives: processes that are killed, copies taken at any moment, power cuts, and files and disks that
//! are not what they should be. The processes are this program again, in the part that [`child`] has for them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests report by panicking")]
#![cfg(unix)]

mod child;
mod copy;
mod cuts;
mod disk;
mod faults;
mod kill;
mod lab;
mod power;
mod tour;
mod trace;
mod ways;
