//! What the library promises, on a real server and in a real file. One program, so that it is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests report by panicking")]

mod add;
mod add_in;
mod backoff;
mod by_hand;
mod child;
mod close;
mod complete_in;
mod damage;
mod edit;
mod examples;
mod faults;
mod file;
mod finished;
mod fixture;
mod hands;
mod health;
mod hooks;
mod lane;
mod locks;
mod queue;
mod recover;
mod robust;
mod router;
mod telemetry;
mod testing;
mod work;
