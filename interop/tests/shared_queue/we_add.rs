//! We add, Node works; and Node reads what we wrote.

use std::time::Duration;

use lariat::{Backoff, JobState, Keep, NewJob};
use serde_json::{Value, json};

use crate::Shared;

#[tokio::test]
async fn node_reads_our_options_and_we_read_its_result() {
    let s = Shared::start();
    let id = s
        .queue
        .add("mail", &json!({"to": "bob"}))
        .attempts(2)
        .backoff(Backoff::fixed(Duration::from_millis(10)).jitter(0.5))
        .remove_on_complete(Keep::last(100))
        .remove_on_fail(Keep::for_at_most(Duration::from_secs(86_400)))
        .timeout(Duration::from_secs(9))
        .await
        .unwrap();
    let job = s.node("getJob", json!({"id": id.as_str()})).await;
    assert_eq!(job["data"], json!({"to": "bob"}));
    let opts = &job["opts"];
    assert_eq!(opts["backoff"], json!({"type": "fixed", "delay": 10, "jitter": 0.5}));
    assert_eq!((&opts["attempts"], &opts["timeout"]), (&json!(2), &json!(9000)));
    assert_eq!(opts["removeOnComplete"]["count"].as_i64().or(opts["removeOnComplete"].as_i64()), Some(100));
    assert_eq!(opts["removeOnFail"]["age"], json!(86_400));
    s.node_works(json!({"default": [{"progress": 50}, {"log": "from node"}, {"complete": {"ok": true}}]}), json!({}))
        .await;
    s.until_counted("completed", 1).await;
    let job = s.queue.job(&id).await.unwrap().unwrap();
    assert_eq!(job.state, Some(JobState::Completed));
    assert_eq!(job.record.return_value.unwrap().get(), r#"{"ok":true}"#);
    assert_eq!(job.record.progress.unwrap().get(), "50");
}

#[tokio::test]
async fn node_runs_every_kind_of_job_that_we_add() {
    let s = Shared::start();
    s.queue.add("plain", &1).await.unwrap();
    s.queue.add("urgent", &1).priority(1).await.unwrap();
    s.queue.add("later", &1).delay(Duration::from_millis(100)).await.unwrap();
    s.queue.add("front", &1).lifo().await.unwrap();
    s.queue.add("named", &1).id("my-own").await.unwrap();
    s.queue.add_bulk((0..20).map(|n| NewJob::new("bulk", &n))).await.unwrap();
    s.node_works(json!({"default": [{"echo": true}]}), json!({"concurrency": 4})).await;
    s.until_counted("completed", 25).await;
    let named = s.node("getJob", json!({"id": "my-own"})).await;
    assert_eq!(named["returnvalue"], json!(1));
}

#[tokio::test]
async fn a_job_that_node_fails_reads_as_failed() {
    let s = Shared::start();
    let id = s.queue.add("x", &()).attempts(2).await.unwrap();
    s.node_works(json!({"default": [{"throw": {"message": "node says no"}}]}), json!({})).await;
    s.until_counted("failed", 1).await;
    let job = s.queue.job(&id).await.unwrap().unwrap();
    assert_eq!(job.state, Some(JobState::Failed));
    assert_eq!((job.record.attempts_made, job.record.failed_reason.as_deref()), (2, Some("node says no")));
    assert_eq!(job.record.stacktrace.len(), 2);
}

#[tokio::test]
async fn node_counts_what_we_count() {
    let s = Shared::start();
    s.queue.add("a", &1).await.unwrap();
    s.queue.add("b", &1).priority(3).await.unwrap();
    s.queue.add("c", &1).delay(Duration::from_secs(60)).await.unwrap();
    s.node("pause", json!({})).await;
    let theirs = s.node("counts", json!({})).await;
    let ours = s.queue.overview().await.unwrap();
    assert!(ours.paused);
    for state in JobState::ALL {
        assert_eq!(theirs[state.as_str()], json!(ours.counts.of(state)), "{state}: {theirs}");
    }
}

/// The value of a wait that has ended, as Node's `QueueEvents` told it.
#[tokio::test]
async fn nodes_wait_until_finished_sees_our_end() {
    let s = Shared::start();
    s.node("events.start", json!({"as": "e"})).await;
    let id = s.queue.add("x", &json!([1, 2])).await.unwrap();
    let handler = async |job: lariat::Job| Ok::<_, lariat::JobError>(job.data::<Value>()?);
    let (value, worker) = tokio::join!(s.node("waitUntilFinished", json!({"as": "e", "id": id.as_str()})), async {
        s.worker().start(handler).unwrap()
    });
    assert_eq!(value, json!([1, 2]));
    drop(worker);
}
