//! The command as people meet it: the real binary, a real redis-server, real programs as handlers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod add;
mod kit;
mod look;
mod outcomes;
mod running;
mod stop;
mod store;
