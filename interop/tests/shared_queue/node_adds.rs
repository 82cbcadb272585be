//! Node adds, we work.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lariat::{Job, JobError, Outcome};
use serde_json::{Value, json};

use crate::{SECOND, Seen, Shared};

#[tokio::test]
async fn payload_options_and_result_pass_through() {
    let s = Shared::start();
    let data = json!({"to": "ada", "n": 1.5, "deep": {"list": [1, null, "é"]}});
    let opts = json!({"attempts": 3, "backoff": {"type": "exponential", "delay": 20}, "removeOnComplete": {"age": 3600, "count": 50}});
    s.node("add", json!({"name": "mail", "data": data, "opts": opts})).await;
    let seen: Seen<Value> = Arc::default();
    let keep = Arc::clone(&seen);
    let handler = move |job: Job| {
        let keep = Arc::clone(&keep);
        async move {
            let data: Value = job.data()?;
            keep.lock().unwrap().push(data.clone());
            job.progress(&json!({"half": true})).await?;
            job.log("a row").await?;
            if job.attempt() == 1 { Err(JobError::retry("not yet")) } else { Ok(json!({"echo": data})) }
        }
    };
    let _worker = s.worker().name("rusty").start(handler).unwrap();
    s.until_counted("completed", 1).await;
    assert_eq!(*seen.lock().unwrap(), [data.clone(), data.clone()]);
    let job = s.node("getJob", json!({"id": "1"})).await;
    assert_eq!(job["returnvalue"], json!({"echo": data}));
    assert_eq!(job["progress"], json!({"half": true}));
    assert_eq!((&job["attemptsMade"], &job["attemptsStarted"]), (&json!(2), &json!(2)));
    assert_eq!((&job["failedReason"], &job["processedBy"]), (&json!("not yet"), &json!("rusty")));
    assert_eq!(job["stacktrace"], json!(["not yet"]));
    assert!(job["finishedOn"].as_i64() >= job["processedOn"].as_i64());
    let logs = s.node("logs", json!({"id": "1"})).await;
    assert_eq!(logs["logs"], json!(["a row", "a row"]));
}

#[tokio::test]
async fn delay_priority_and_lifo_mean_the_same() {
    let s = Shared::start();
    for (name, opts) in [
        ("low", json!({"priority": 9})),
        ("high", json!({"priority": 1})),
        ("first", json!({})),
        ("front", json!({"lifo": true})),
        ("later", json!({"delay": 300})),
    ] {
        s.node("add", json!({"name": name, "data": 0, "opts": opts})).await;
    }
    let order: Seen<String> = Arc::default();
    let keep = Arc::clone(&order);
    let handler = move |job: Job| {
        keep.lock().unwrap().push(job.name().to_owned());
        async { Ok::<_, JobError>(()) }
    };
    let _worker = s.worker().start(handler).unwrap();
    s.until_counted("completed", 5).await;
    let order = order.lock().unwrap().clone();
    let at = |name: &str| order.iter().position(|n| n == name).unwrap();
    assert!(at("front") < at("first") && at("first") < at("high") && at("high") < at("low"), "{order:?}");
    let later = s.node("getJobs", json!({"types": ["completed"]})).await;
    let later = later.as_array().unwrap().iter().find(|job| job["name"] == "later").unwrap().clone();
    assert!(later["processedOn"].as_i64().unwrap() - later["timestamp"].as_i64().unwrap() >= 300);
}

#[tokio::test]
async fn a_flow_of_nodes_runs_through_us() {
    let s = Shared::start();
    let children: Vec<Value> =
        (1..=3).map(|n| json!({"name": format!("child-{n}"), "queueName": "shared", "data": n})).collect();
    let flow = json!({"name": "parent", "queueName": "shared", "data": {}, "children": children});
    let tree = s.node("flow", json!({"flow": flow})).await;
    let parent = tree["job"]["id"].as_str().unwrap().to_owned();
    let order: Seen<String> = Arc::default();
    let keep = Arc::clone(&order);
    let handler = move |job: Job| {
        keep.lock().unwrap().push(job.name().to_owned());
        async move { Ok::<_, JobError>(job.data::<Value>()?) }
    };
    let _worker = s.worker().concurrency(2).start(handler).unwrap();
    s.until_counted("completed", 4).await;
    assert_eq!(order.lock().unwrap().last().unwrap(), "parent", "after all its children");
    let values = s.node("job", json!({"id": parent, "method": "getChildrenValues"})).await;
    let mut values: Vec<i64> = values.as_object().unwrap().values().map(|v| v.as_i64().unwrap()).collect();
    values.sort_unstable();
    assert_eq!(values, [1, 2, 3]);
}

#[tokio::test]
async fn a_failed_child_fails_its_parent_where_node_said_so() {
    let s = Shared::start();
    let child = json!({"name": "bad", "queueName": "shared", "data": 1, "opts": {"failParentOnFailure": true}});
    let flow = json!({"name": "parent", "queueName": "shared", "data": {}, "children": [child]});
    let tree = s.node("flow", json!({"flow": flow})).await;
    let (parent, child) = (tree["job"]["id"].as_str().unwrap(), tree["children"][0]["job"]["id"].as_str().unwrap());
    let _worker = s.worker().start(async |_| Err::<(), _>(JobError::fail("no"))).unwrap();
    s.until_counted("failed", 2).await;
    let job = s.node("getJob", json!({"id": parent})).await;
    assert_eq!(job["failedReason"], json!(format!("child bull:shared:{child} failed")));
}

#[tokio::test]
async fn a_handler_of_ours_waits_for_children_that_node_adds_meanwhile() {
    let s = Shared::start();
    let s = Arc::new(s);
    s.node("add", json!({"name": "parent", "data": 0, "opts": {}})).await;
    let adder = Arc::clone(&s);
    let handler = move |job: Job| {
        let s = Arc::clone(&adder);
        async move {
            if job.name() == "child" {
                return Outcome::done(&"grown");
            }
            if job.starts() == 1 {
                let parent = json!({"id": job.id().as_str(), "queue": "bull:shared"});
                s.node("add", json!({"name": "child", "data": 1, "opts": {"parent": parent}})).await;
                return Ok(Outcome::WaitForChildren);
            }
            Outcome::done(&"all done")
        }
    };
    let worker = s.worker().start(handler).unwrap();
    s.until_counted("completed", 2).await;
    let job = s.node("getJob", json!({"id": "1"})).await;
    assert_eq!(
        (&job["returnvalue"], &job["attemptsMade"], &job["attemptsStarted"]),
        (&json!("all done"), &json!(1), &json!(2))
    );
    worker.close(SECOND).await;
}

#[tokio::test]
async fn a_job_that_node_held_back_follows_when_its_owner_ends() {
    let s = Shared::start();
    let opts = json!({"deduplication": {"id": "one", "keepLastIfActive": true}});
    s.node("add", json!({"name": "sync", "data": 1, "opts": opts})).await;
    let (tell, told) = tokio::sync::watch::channel(false);
    let seen: Seen<i64> = Arc::default();
    let keep = Arc::clone(&seen);
    let handler = move |job: Job| {
        let (mut told, keep) = (told.clone(), Arc::clone(&keep));
        async move {
            told.wait_for(|go| *go).await?;
            keep.lock().unwrap().push(job.data()?);
            Ok::<_, JobError>(())
        }
    };
    let _worker = s.worker().start(handler).unwrap();
    s.until_counted("active", 1).await;
    for n in [2, 3] {
        s.node("add", json!({"name": "sync", "data": n, "opts": opts})).await;
    }
    tell.send(true).unwrap();
    s.until_counted("completed", 2).await;
    assert_eq!(*seen.lock().unwrap(), [1, 3], "the last one that was held back");
}

#[tokio::test]
async fn what_node_pauses_and_limits_holds_for_us() {
    let s = Shared::start();
    s.node("pause", json!({})).await;
    s.node("addBulk", json!({"jobs": (0..6).map(|n| json!({"name": "n", "data": n})).collect::<Vec<_>>()})).await;
    s.node("setGlobalConcurrency", json!({"concurrency": 2})).await;
    let peak: Arc<Mutex<(usize, usize)>> = Arc::default();
    let count = Arc::clone(&peak);
    let handler = move |_: Job| {
        let count = Arc::clone(&count);
        async move {
            {
                let mut count = count.lock().unwrap();
                count.0 += 1;
                count.1 = count.1.max(count.0);
            }
            // sleep: the handler's work, so that others have the time to overlap with it
            tokio::time::sleep(Duration::from_millis(20)).await;
            count.lock().unwrap().0 -= 1;
            Ok::<_, JobError>(())
        }
    };
    let worker = s.worker().concurrency(6).start(handler).unwrap();
    assert!(s.queue.overview().await.unwrap().paused);
    assert!(worker.is_idle());
    s.node("resume", json!({})).await;
    s.until_counted("completed", 6).await;
    assert_eq!(peak.lock().unwrap().1, 2, "never more than the queue allows");
}
