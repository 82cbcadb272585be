//! Handlers by the name of the job, with what all of them share: `cargo run -p lariat --example router_with_state`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lariat::{Finished, Job, JobError, NewJob, Queue, Router, Store, Worker};
use serde::{Deserialize, Serialize};

/// What the handlers share: a pool of connections, say. Here it only counts.
struct Shop {
    currency: &'static str,
    invoices: AtomicU32,
}

#[derive(Serialize, Deserialize)]
struct Order {
    customer: String,
    cents: u64,
}

async fn invoice(job: Job, shop: Arc<Shop>) -> Result<String, JobError> {
    let order: Order = job.data()?;
    let number = shop.invoices.fetch_add(1, Ordering::Relaxed) + 1;
    Ok(format!(
        "invoice {number} for {}: {}.{:02} {}",
        order.customer,
        order.cents / 100,
        order.cents % 100,
        shop.currency
    ))
}

/// One that does not need the state does not take it.
async fn thank(job: Job) -> Result<String, JobError> {
    Ok(format!("thank you, {}", job.data::<Order>()?.customer))
}

/// Adds a job of each name, works them, and says how they ended.
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("LARIAT_STORE").unwrap_or_else(|_| "sqlite::memory:".into());
    let store = Store::connect(&url).await?;
    let shop = Arc::new(Shop { currency: "EUR", invoices: AtomicU32::new(0) });
    let router = Router::new().with_state(shop).on("invoice", invoice).on("thank", thank);
    let worker = Worker::builder(&store, "example-shop").concurrency(4).start(router)?;

    let queue = Queue::new(&store, "example-shop")?;
    let order = Order { customer: "Ada".into(), cents: 1999 };
    let ids = queue.add_bulk(["invoice", "thank", "refund"].map(|name| NewJob::new(name, &order))).await?;
    for id in &ids {
        match queue.wait_for(id, Duration::from_secs(30)).await? {
            Finished::Completed(value) => println!("completed: {value}"),
            Finished::Failed(reason) => println!("failed: {reason}"),
            other => println!("{other:?}"),
        }
    }
    worker.close(Duration::from_secs(25)).await;
    Ok(())
}
