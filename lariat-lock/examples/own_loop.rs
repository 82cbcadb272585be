//! A worker loop of one's own: locks in a map, no queue library. Run it with `cargo run -p lariat-lock --example own_loop`.
//!
//! Three jobs outlive their lock of one second by far. The first two are kept by renewal; the third is taken over by
//! somebody else, and its handler is stopped.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lariat_lock::{BoxFuture, Claim, Instant, LockManager, LockStore, StoreError, Verdict};

/// Who holds what, and until when. In earnest this is a server, and `extend` one call to it.
#[derive(Clone, Default)]
struct Locks(Arc<Mutex<HashMap<String, (String, Instant)>>>);

impl Locks {
    fn grant(&self, id: &str, token: &str, lasts: Duration) {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.insert(id.to_owned(), (token.to_owned(), Instant::now() + lasts));
    }
}

impl LockStore for Locks {
    fn extend<'a>(
        &'a self,
        claims: &'a [Claim],
        lock_duration: Duration,
    ) -> BoxFuture<'a, Result<Vec<Verdict>, StoreError>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let verdicts = claims.iter().map(|claim| match locks.get_mut(&*claim.id) {
            Some((token, until)) if *until > now && **token == *claim.token => {
                *until = now + lock_duration;
                Verdict::Extended
            }
            Some((_, until)) if *until > now => Verdict::Taken,
            _ => Verdict::Missing,
        });
        let verdicts = verdicts.collect();
        Box::pin(std::future::ready(Ok(verdicts)))
    }
}

async fn work(number: u64) -> u64 {
    tokio::time::sleep(Duration::from_secs(3)).await;
    number * number
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = Locks::default();
    let lock_duration = Duration::from_secs(1);
    let manager = LockManager::builder(store.clone()).lock_duration(lock_duration).start()?;

    let mut jobs = Vec::new();
    for number in 1..=3 {
        let (id, token) = (format!("job-{number}"), format!("worker-1:{number}"));
        // Before the request for the lock is sent: trust counts from here.
        let since = Instant::now();
        store.grant(&id, &token, lock_duration);
        let guard = manager.track_job(id, token, since)?;
        jobs.push(tokio::spawn(async move {
            let result = tokio::select! {
                result = work(number) => result,
                reason = guard.lost() => return println!("{}: stopped, {reason}", guard.id()),
            };
            // From here on the store's answer to the result counts, and the lock is kept until it is in.
            match guard.settle() {
                Ok(()) => println!("{}: {result}, {:?} of trust left", guard.id(), guard.trust_left()),
                Err(reason) => println!("{}: result not sent, {reason}", guard.id()),
            }
        }));
    }
    store.grant("job-3", "worker-2:1", Duration::from_secs(60));

    for job in jobs {
        job.await?;
    }
    let left = manager.stop(Duration::from_secs(5)).await;
    let metrics = manager.metrics();
    println!("{} renewals in {} calls, {left} jobs left", metrics.renewed, metrics.call_latency.count());
    Ok(())
}
