//! The command as people meet it: the real binary, a real redis-server, real programs as handlers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod add;
mod change;
mod demo;
mod events;
mod hands;
mod inside;
mod kit;
mod list;
mod locks;
mod look;
mod many;
mod outcomes;
mod queues;
mod running;
mod stop;
mod store;
