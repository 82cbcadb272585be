//! Both sides on one queue at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use lariat::{Job, JobError, NewJob};
use serde_json::{Value, json};

use crate::{SECOND, Shared};

#[tokio::test]
async fn both_work_one_queue_and_each_job_runs_once() {
    let s = Shared::start();
    let runs: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let count = Arc::clone(&runs);
    let handler = move |job: Job| {
        *count.lock().unwrap().entry(job.id().to_string()).or_default() += 1;
        async { Ok::<_, JobError>("ours") }
    };
    // Enough for both: Node needs a moment to begin.
    s.queue.add_bulk((0..300).map(|n| NewJob::new("n", &n))).await.unwrap();
    s.node_works(json!({"default": [{"pause": 2}, {"complete": "theirs"}]}), json!({"concurrency": 5})).await;
    s.node("worker.wait", json!({"as": "w", "event": "completed", "count": 3})).await;
    let worker = s.worker().concurrency(5).start(handler).unwrap();
    for n in 0..20 {
        s.node("add", json!({"name": "n", "data": n, "opts": {}})).await;
        s.queue.add("n", &n).priority(1 + n).await.unwrap();
    }
    s.until_counted("completed", 340).await;
    worker.close(SECOND).await;
    let jobs = s.node("getJobs", json!({"types": ["completed"]})).await;
    let mut by = BTreeMap::new();
    for job in jobs.as_array().unwrap() {
        assert_eq!(job["attemptsStarted"], json!(1), "job {} ran once", job["id"]);
        *by.entry(job["returnvalue"].as_str().unwrap().to_owned()).or_insert(0u32) += 1;
    }
    assert_eq!(by["ours"] as usize, runs.lock().unwrap().len());
    assert!(runs.lock().unwrap().values().all(|n| *n == 1));
    assert!(by["theirs"] > 0 && by["ours"] > 0, "both had a part: {by:?}");
}

#[tokio::test]
async fn node_sees_our_events_with_the_right_fields() {
    let s = Shared::start();
    s.node("events.start", json!({"as": "e"})).await;
    let good = s.queue.add("good", &json!({"n": 1})).await.unwrap();
    let bad = s.queue.add("bad", &()).attempts(2).await.unwrap();
    let late = s.queue.add("late", &()).delay(std::time::Duration::from_millis(50)).await.unwrap();
    let handler = async |job: Job| {
        job.progress(&json!({"at": job.name()})).await?;
        if job.name() == "bad" { Err(JobError::retry("broken")) } else { Ok(json!({"done": job.name()})) }
    };
    let _worker = s.worker().start(handler).unwrap();
    s.node("events.wait", json!({"as": "e", "event": "completed", "count": 2})).await;
    s.node("events.wait", json!({"as": "e", "event": "retries-exhausted"})).await;
    let rows = s.node("events.seen", json!({"as": "e"})).await;
    let of = |id: &str, event: &str| -> Vec<Value> {
        let rows = rows.as_array().unwrap().iter();
        rows.filter(|row| row["event"] == event && row["jobId"] == id).cloned().collect()
    };
    let (good, bad, late) = (good.as_str(), bad.as_str(), late.as_str());
    assert_eq!(of(good, "added")[0]["name"], json!("good"));
    assert_eq!(of(good, "waiting").len(), 1);
    assert_eq!(of(good, "active")[0]["prev"], json!("waiting"));
    assert_eq!(of(good, "progress")[0]["data"], json!({"at": "good"}));
    assert_eq!(of(good, "completed")[0]["returnvalue"], json!({"done": "good"}));
    assert_eq!(of(good, "completed")[0]["prev"], json!("active"));
    assert_eq!(of(bad, "waiting")[1]["prev"], json!("active"), "tried again");
    assert_eq!(of(bad, "failed")[0]["failedReason"], json!("broken"));
    assert_eq!(of(bad, "retries-exhausted")[0]["attemptsMade"], json!("2"));
    assert!(of(late, "delayed")[0]["delay"].as_i64().unwrap() > 1_700_000_000_000, "an absolute time");
    assert_eq!(of(late, "waiting")[0]["prev"], json!("delayed"));
    assert!(rows.as_array().unwrap().iter().any(|row| row["event"] == "drained"));
    assert!(rows.as_array().unwrap().iter().all(|row| row["event"] != "error"), "nothing that Node cannot parse");
}

#[tokio::test]
async fn node_lists_our_workers_with_and_without_a_name() {
    let s = Shared::start();
    let handler = || async |_: Job| Ok::<_, JobError>(());
    let _nameless = s.worker().start(handler()).unwrap();
    let _named = s.worker().name("rusty").start(handler()).unwrap();
    interop::wait::until_async("both are listed", || async {
        let workers = s.node("queue", json!({"method": "getWorkers"})).await;
        let mut names: Vec<String> =
            workers.as_array().unwrap().iter().map(|w| w["rawname"].as_str().unwrap_or_default().to_owned()).collect();
        names.sort();
        names == ["bull:c2hhcmVk", "bull:c2hhcmVk:w:rusty"]
    })
    .await;
}
