//! Driving the lane: call after call, until nothing waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Added, Drive, Party, Shared};
use crate::error::{Error, ErrorKind};
use crate::store::change::Add;
use crate::store::exchange::LaneCall;

/// First pause before a call is repeated; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Drives the lane; when it is dropped with its runtime, those who wait are told and the next add, on another runtime,
/// drives it again.
pub(super) struct Driver {
    shared: Arc<Shared>,
    done: bool,
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.done {
            let mut state = self.shared.lock();
            state.drive = Drive::Idle;
            state.waiting.clear();
        }
    }
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>) -> Driver {
        Driver { shared, done: false }
    }

    pub(super) async fn drive(mut self) {
        while let Some((mut parties, number)) = self.shared.next() {
            let mut sizes = Vec::with_capacity(parties.len());
            let mut all = Vec::new();
            for party in &mut parties {
                sizes.push(party.jobs.len());
                all.append(&mut party.jobs);
            }
            let until = parties.iter().map(|party| party.until).max().unwrap_or_else(Instant::now);
            let call = LaneCall { base: Arc::clone(&self.shared.base), number };
            let answer = self.call(&Add { call, jobs: all.into() }, until).await;
            share(parties, &sizes, answer);
        }
        self.done = true;
    }

    /// Repeats the call under its number until it is answered or nobody waits for it any more.
    async fn call(&self, add: &Add, until: Instant) -> Added {
        let mut pause = FIRST_PAUSE;
        let mut may_have_run = false;
        loop {
            match self.shared.backend.add(add).await {
                Ok(ids) => return Ok(ids),
                Err(error) => {
                    may_have_run |= error.is_unknown();
                    if !error.is_unreachable() || Instant::now() + pause >= until {
                        // A later refusal to connect does not undo that an earlier sending may have run.
                        let doubt = may_have_run && !error.is_unknown() && error.is_unreachable();
                        return Err(if doubt {
                            Error::new(
                                ErrorKind::Unknown,
                                "the store was lost while adding; the job may or may not be there",
                            )
                            .because(error)
                        } else {
                            error
                        });
                    }
                }
            }
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Gives each party its part of the answer.
fn share(parties: Vec<Party>, sizes: &[usize], answer: Added) {
    match answer {
        Ok(ids) => {
            let mut ids = ids.into_iter();
            for (party, size) in parties.into_iter().zip(sizes) {
                let part: Vec<_> = ids.by_ref().take(*size).collect();
                let part = if part.len() == *size {
                    Ok(part)
                } else {
                    Err(Error::new(ErrorKind::Store, "the store answered an add with too few ids"))
                };
                // Whoever dropped the add does not want to know.
                drop(party.answer.send(part));
            }
        }
        Err(error) => {
            for party in parties {
                drop(party.answer.send(Err(error.echo())));
            }
        }
    }
}
