//! Each side's search for stalled jobs finds what the other's dead workers left.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use interop::wait;
use lariat::{Job, JobError, JobState, NewJob, Store, Worker};
use serde_json::json;

use crate::{QUEUE, SECOND, Shared};

const CHILD_URL: &str = "SHARED_QUEUE_CHILD_URL";
const SHORT: Duration = Duration::from_millis(500);

/// Run by the tests below as a process of its own: a worker whose handlers never end.
#[test]
fn child_that_holds_its_jobs() {
    let Ok(url) = std::env::var(CHILD_URL) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(&url).unwrap();
        let handler = async |_: Job| {
            std::future::pending::<()>().await;
            Ok::<_, JobError>(())
        };
        let worker = Worker::builder(&store, QUEUE)
            .concurrency(20)
            .lock_duration(SHORT * 2)
            .stalled_interval(SHORT)
            .start(handler)
            .unwrap();
        worker.stopped().await;
    });
}

/// That process; it is ended by its own id, at the latest when this is dropped.
struct Holder(Child);

impl Holder {
    fn start(s: &Shared) -> Holder {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "dead_workers::child_that_holds_its_jobs", "--nocapture"]);
        Holder(command.env(CHILD_URL, s.server.url()).stdout(Stdio::null()).spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn we_recover_what_a_killed_worker_of_ours_held() {
    let s = Shared::start();
    let ids = s.queue.add_bulk((0..20).map(|n| NewJob::new("n", &n))).await.unwrap();
    let mut holder = Holder::start(&s);
    s.until_counted("active", 20).await;
    holder.kill();
    let worker = s.worker().concurrency(4).stalled_interval(SHORT).start(async |_| Ok::<_, JobError>(())).unwrap();
    s.until_counted("completed", 20).await;
    for id in &ids {
        let record = s.queue.job(id).await.unwrap().unwrap().record;
        assert_eq!((record.stalled_counter, record.attempts_started, record.attempts_made), (1, 2, 1), "job {id}");
    }
    worker.close(SECOND).await;
}

#[tokio::test]
async fn node_recovers_what_a_killed_worker_of_ours_held() {
    let s = Shared::start();
    let ids = s.queue.add_bulk((0..5).map(|n| NewJob::new("n", &n))).await.unwrap();
    let mut holder = Holder::start(&s);
    s.until_counted("active", 5).await;
    holder.kill();
    let options = json!({"stalledInterval": 500, "lockDuration": 5000});
    s.node_works(json!({"default": [{"complete": "saved"}]}), options).await;
    s.until_counted("completed", 5).await;
    for id in &ids {
        let record = s.queue.job(id).await.unwrap().unwrap().record;
        assert_eq!((record.stalled_counter, record.return_value.unwrap().get()), (1, "\"saved\""), "job {id}");
    }
}

#[tokio::test]
async fn we_recover_what_a_killed_node_held() {
    let mut s = Shared::start();
    s.node_works(
        json!({"default": [{"hold": true}]}),
        json!({"concurrency": 3, "lockDuration": 800, "stalledInterval": 500}),
    )
    .await;
    let ids = s.queue.add_bulk((0..3).map(|n| NewJob::new("n", &n))).await.unwrap();
    s.until_counted("active", 3).await;
    s.node.kill();
    let worker = s.worker().stalled_interval(SHORT).start(async |_| Ok::<_, JobError>("saved")).unwrap();
    for id in &ids {
        wait::until_async("completed by us", || async {
            s.queue.job(id).await.unwrap().unwrap().state == Some(JobState::Completed)
        })
        .await;
        assert_eq!(s.queue.job(id).await.unwrap().unwrap().record.stalled_counter, 1);
    }
    worker.close(SECOND).await;
}

#[tokio::test]
async fn a_frozen_node_that_comes_back_cannot_end_what_we_took_over() {
    let s = Shared::start();
    s.node_works(json!({"default": [{"hold": true}]}), json!({"lockDuration": 800, "stalledInterval": 500})).await;
    let id = s.queue.add("x", &()).await.unwrap();
    s.until_counted("active", 1).await;
    s.node.freeze();
    let worker = s.worker().stalled_interval(SHORT).start(async |_| Ok::<_, JobError>("ours")).unwrap();
    wait::until_async("completed by us", || async {
        s.queue.job(&id).await.unwrap().unwrap().state == Some(JobState::Completed)
    })
    .await;
    s.node.thaw();
    s.node("worker.tell", json!({"as": "w", "id": id.as_str(), "steps": [{"complete": "theirs"}]})).await;
    s.node("worker.wait", json!({"as": "w", "event": "error"})).await;
    let record = s.queue.job(&id).await.unwrap().unwrap().record;
    assert_eq!((record.return_value.unwrap().get(), record.attempts_made), ("\"ours\"", 1));
    worker.close(SECOND).await;
}
