//! One queue shared with the real `BullMQ`, both ways.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests report by panicking")]

mod both;
mod dead_workers;
mod getters;
mod listening;
mod node_adds;
mod we_add;

use std::sync::Arc;
use std::time::Duration;

use interop::node::NodeBull;
use interop::redis::RedisServer;
use interop::wait;
use lariat::{Queue, Store, Worker, WorkerBuilder};
use serde_json::{Value, json};

const QUEUE: &str = "shared";

/// A server, Node on one side, us on the other.
struct Shared {
    node: NodeBull,
    queue: Queue,
    store: Store,
    server: RedisServer,
}

impl Shared {
    fn start() -> Shared {
        let server = RedisServer::start();
        let node = NodeBull::start(&server.url());
        let store = Store::open(&server.url()).unwrap();
        let queue = Queue::new(&store, QUEUE).unwrap();
        Shared { node, queue, store, server }
    }

    fn worker(&self) -> WorkerBuilder {
        Worker::builder(&self.store, QUEUE)
    }

    /// One step in Node, on our queue.
    async fn node(&self, op: &str, mut args: Value) -> Value {
        args["op"] = json!(op);
        args["queue"] = json!(QUEUE);
        self.node.call_async(args).await
    }

    /// A Node worker called `w` with this processor.
    async fn node_works(&self, processor: Value, options: Value) {
        self.node("worker.start", json!({"as": "w", "processor": processor, "worker": options})).await;
    }

    /// Waits until Node says that so many jobs are in this state.
    async fn until_counted(&self, state: &str, count: u64) {
        wait::until_async(&format!("{count} jobs are {state}"), || async {
            self.node("counts", json!({"types": [state]})).await[state] == json!(count)
        })
        .await;
    }
}

/// Handlers are closures over what the test wants to know.
type Seen<T> = Arc<std::sync::Mutex<Vec<T>>>;

const SECOND: Duration = Duration::from_secs(1);
