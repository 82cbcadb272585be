//! `lariat add --stdin`: several batches on their way at a time, in the order of their lines.

use std::collections::VecDeque;
use std::time::Duration;

use lariat::{JobId, Queue, Store};
use tokio::task::JoinHandle;

use super::progress::Progress;
use super::read::{self, Batch, Stop};
use crate::args::AddArgs;
use crate::failure::Failure;

/// Batches on their way at a time. Each has a handle of its own, since a handle sends one call at a time.
const LANES: usize = 4;

/// Adds the jobs of stdin up to its end, or to the first line that is bad.
pub(super) async fn run(store: &Store, args: &AddArgs) -> Result<(), Failure> {
    let handle = || Queue::new(store, &args.queue).map(|queue| queue.with_patience(args.wait));
    let mut lanes = (0..LANES).map(|_| handle()).collect::<Result<VecDeque<_>, _>>()?;
    let mut batches = read::batches()?;
    let mut sky =
        Sky { wait: args.wait, json: args.json, flying: VecDeque::new(), added: 0, progress: Progress::new() };
    let mut open = true;
    while open || !sky.flying.is_empty() {
        // Batches are sent in the order in which their tasks are spawned, as long as the connection stands: the first
        // makes it, and flies alone.
        let may_fly = if sky.added == 0 { 1 } else { LANES };
        tokio::select! {
            biased;
            batch = batches.recv(), if open && sky.flying.len() < may_fly => match batch {
                Some(Ok(batch)) => {
                    // The lane that has been free for longest: a lane holds one batch at a time.
                    lanes.rotate_left(1);
                    sky.launch(lanes[LANES - 1].clone(), batch);
                }
                Some(Err(stop)) => return Err(sky.stopped(stop).await),
                None => open = false,
            },
            landed = sky.landed(), if !sky.flying.is_empty() => landed?,
        }
    }
    Ok(())
}

/// The batches on their way.
struct Sky {
    wait: Duration,
    json: bool,
    /// In the order of their lines.
    flying: VecDeque<Flight>,
    /// Jobs added so far, of batches that have landed.
    added: usize,
    progress: Progress,
}

struct Flight {
    adding: JoinHandle<Result<Vec<JobId>, Failure>>,
    last: usize,
    upto: u64,
}

impl Sky {
    fn launch(&mut self, lane: Queue, Batch { jobs, last, upto }: Batch) {
        let wait = self.wait;
        let adding = tokio::spawn(async move { super::answered(wait, lane.add_bulk(jobs)).await });
        self.flying.push_back(Flight { adding, last, upto });
    }

    /// Waits for the first batch of those on their way. Cancel safe.
    async fn landed(&mut self) -> Result<(), Failure> {
        let Some(first) = self.flying.front_mut() else { return Ok(()) };
        let answer = (&mut first.adding).await;
        let Some(Flight { last, upto, .. }) = self.flying.pop_front() else { return Ok(()) };
        match answer.map_err(|e| Failure::failed(e.to_string())).flatten() {
            Ok(ids) => {
                self.added += ids.len();
                self.progress.added(self.added, upto);
                self.progress.aside(|| super::print(&ids, self.json))
            }
            Err(failure) => {
                let before = self.added;
                let behind = self.rest().await;
                let behind = if behind > 0 { format!(", and {behind} of those after it") } else { String::new() };
                let words = format!("; {before} jobs were added before its batch{behind}");
                Err(failure.before(&format!("the batch that ends with line {last}: ")).after(&words))
            }
        }
    }

    /// Lets the batches land that are on their way behind one that failed, and says how many jobs they added.
    async fn rest(&mut self) -> usize {
        let mut added = 0;
        for flight in self.flying.drain(..) {
            if let Ok(Ok(ids)) = flight.adding.await {
                added += ids.len();
            }
        }
        added
    }

    /// Why it ends here. The batches before are landed first.
    async fn stopped(&mut self, stop: Stop) -> Failure {
        while !self.flying.is_empty() {
            if let Err(failure) = self.landed().await {
                return failure;
            }
        }
        let added = self.added;
        match stop {
            Stop::BadLine { number, why } => Failure::failed(format!(
                "line {number}: {why}; {added} jobs were added before its batch, none of it or after it"
            )),
            Stop::Broken(error) => Failure::failed(format!("cannot read stdin: {error}; {added} jobs were added")),
        }
    }
}
