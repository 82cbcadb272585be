//! What every store obeys, written against the seam: one file per transition, one test per case and store.
//!
//! A case is a function of a [`World`](world::World), one queue of one store; [`cases!`] makes its two tests. No key, no SQL
//! and no Lua is in a case: what can only be done behind a store's back is in [`hands`]. After each case the laws are
//! looked at that hold always (each job in one state, counts equal listings). Laws over random sequences are in `law.rs`,
//! and in `walk.rs`, which compares the stores with each other.

mod add;
mod allowance;
mod ask_again;
mod change_delay;
mod change_priority;
mod child_ended;
mod delay;
mod events;
mod extend;
mod faults;
mod finish;
mod forget;
mod hands;
mod law;
mod metrics;
mod promote;
mod promote_one;
mod put_back;
mod put_back_stalled;
mod read;
mod record;
mod refusals;
mod remove_job;
mod reprocess;
mod retention;
mod retry;
mod settings;
mod take;
mod wait;
mod wait_for_children;
mod walk;
mod world;

use std::time::Duration;

/// Long enough for a slow, busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes of each case, a function of a world, one test for each store.
macro_rules! cases {
    ($($case:ident,)*) => {
        mod on_redis {
            $(#[test]
            fn $case() {
                let world = crate::store::conformance::world::World::on_redis();
                super::$case(&world);
                world.shown();
            })*
        }
        mod on_sqlite {
            $(#[test]
            fn $case() {
                let world = crate::store::conformance::world::World::on_sqlite();
                super::$case(&world);
                world.shown();
            })*
        }
    };
}

use cases;
