//! A loop of your own instead of handlers: `cargo run -p lariat --example by_hand`.

use std::error::Error;
use std::time::Duration;

use lariat::{Manual, NewJob, Queue, Store};

/// Adds some jobs, takes them one by one, and says what became of each.
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("LARIAT_STORE").unwrap_or_else(|_| "sqlite::memory:".into());
    let store = Store::connect(&url).await?;
    let queue = Queue::new(&store, "example-by-hand")?;
    queue
        .add_bulk([("halve", 4), ("halve", 7), ("wait", 0), ("halve", 12)].map(|(name, n)| NewJob::new(name, &n)))
        .await?;

    let jobs = Manual::builder(&store, "example-by-hand").name("by-hand").start()?;
    // Ends when nothing has come for half a second. While a job is in our hands its lock is renewed.
    while let Some(taken) = jobs.take_or_wait(Duration::from_millis(500)).await? {
        let (id, number) = (taken.job().id().clone(), taken.job().data::<i64>()?);
        match taken.job().name() {
            "wait" if taken.job().starts() == 1 => {
                taken.delay(Duration::from_millis(50)).await?;
                println!("{id}: later");
            }
            "wait" => {
                taken.complete(&"waited").await?;
                println!("{id}: waited");
            }
            _ if number % 2 == 0 => {
                taken.complete(&(number / 2)).await?;
                println!("{id}: {}", number / 2);
            }
            _ => {
                taken.fail(format!("{number} is odd")).await?;
                println!("{id}: failed");
            }
        }
    }
    Ok(())
}
