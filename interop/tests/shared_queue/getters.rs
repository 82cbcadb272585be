//! What one side wrote, read by the other, field by field.

use std::collections::BTreeMap;
use std::time::Duration;

use interop::wait;
use lariat::{Job, JobError, JobRecord, JobState, NewJob, Queue, RateLimit};
use serde_json::{Value, json};

use crate::{SECOND, Shared};

/// A record as Node shows it.
fn as_node(record: &JobRecord) -> Value {
    let text = |json: &Option<Box<serde_json::value::RawValue>>, missing: Value| {
        json.as_ref().map_or(missing, |json| serde_json::from_str(json.get()).unwrap())
    };
    json!({
        "id": record.id.as_str(),
        "name": record.name,
        "data": serde_json::from_str::<Value>(record.data.get()).unwrap(),
        "progress": text(&record.progress, json!(0)),
        "returnvalue": text(&record.return_value, Value::Null),
        "failedReason": record.failed_reason,
        "stacktrace": record.stacktrace,
        "attemptsMade": record.attempts_made,
        "attemptsStarted": record.attempts_started,
        "stalledCounter": record.stalled_counter,
        "delay": u64::try_from(record.delay.as_millis()).unwrap(),
        "priority": record.priority,
        "timestamp": record.timestamp.as_millis(),
        "processedOn": record.processed_on.map(lariat::Timestamp::as_millis),
        "finishedOn": record.finished_on.map(lariat::Timestamp::as_millis),
        "processedBy": record.processed_by,
        "parent": record.parent.as_ref().map(|parent| json!({"id": parent.id, "queueKey": parent.queue_key})),
        "repeatJobKey": record.scheduler,
        "deduplicationId": record.deduplication_id,
        "deferredFailure": record.deferred_failure,
    })
}

/// Every job of every state, and the ranges of each state, as both read them.
async fn jobs_are_the_same(s: &Shared) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for state in JobState::ALL {
        for (from, count) in [(0, 100), (0, 1), (1, 2), (2, 50)] {
            for asc in [true, false] {
                let range = json!({"types": [state.as_str()], "start": from, "end": from + count - 1, "asc": asc});
                let theirs = s.node("getJobs", range).await;
                let ours = if asc {
                    s.queue.jobs(state, from, count).await
                } else {
                    s.queue.newest_jobs(state, from, count).await
                };
                let ours = ours.unwrap();
                assert!(ours.damaged.is_empty(), "{:?}", ours.damaged);
                let theirs = theirs.as_array().unwrap();
                assert_eq!(ours.jobs.len(), theirs.len(), "{state} {from} {count}");
                for (record, theirs) in ours.jobs.iter().zip(theirs) {
                    for (field, value) in as_node(record).as_object().unwrap() {
                        // Node gives the parent with the flags of the child beside it.
                        let theirs = if field == "parent" && theirs[field].is_object() {
                            json!({"id": theirs[field]["id"], "queueKey": theirs[field]["queueKey"]})
                        } else {
                            theirs[field].clone()
                        };
                        assert_eq!(*value, theirs, "{field} of {state} job {}", record.id);
                    }
                }
                if count == 100 && asc {
                    counts.insert(state.as_str(), ours.jobs.len());
                }
            }
        }
    }
    counts
}

/// Counts, limits and the like, as both read them.
async fn queue_is_the_same(s: &Shared) {
    let ours = s.queue.overview().await.unwrap();
    let theirs = s.node("counts", json!({})).await;
    for state in JobState::ALL {
        assert_eq!(theirs[state.as_str()], json!(ours.counts.of(state)), "{state}");
    }
    let get = async |method: &str| s.node("queue", json!({"method": method})).await;
    assert_eq!(get("isPaused").await, json!(ours.paused));
    assert_eq!(get("getGlobalConcurrency").await, json!(ours.concurrency));
    let limit = ours
        .rate_limit
        .map(|limit| json!({"max": limit.max, "duration": u64::try_from(limit.duration.as_millis()).unwrap()}));
    assert_eq!(get("getGlobalRateLimit").await, json!(limit));
    let left = get("getRateLimitTtl").await.as_i64().unwrap();
    assert_eq!(left > 0, ours.limited_for.is_some(), "{left} {:?}", ours.limited_for);
    let priorities = [0, 1, 2, 3, 9];
    let theirs = s.node("queue", json!({"method": "getCountsPerPriority", "args": [priorities]})).await;
    let ours = s.queue.counts_per_priority(&priorities).await.unwrap();
    for (priority, count) in priorities.iter().zip(ours) {
        assert_eq!(theirs[priority.to_string()], json!(count), "priority {priority}");
    }
    for (state, method) in [(JobState::Completed, "completed"), (JobState::Failed, "failed")] {
        let theirs = s.node("queue", json!({"method": "getMetrics", "args": [method, 0, 59]})).await;
        let ours = s.queue.metrics(state, 60).await.unwrap();
        // Node gives some numbers as text.
        let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        assert_eq!(number(&theirs["meta"]["count"]).unwrap_or(0), ours.total);
        assert_eq!(theirs["count"], json!(ours.per_minute.len()));
        let minutes: Vec<u64> = theirs["data"].as_array().unwrap().iter().filter_map(number).collect();
        assert_eq!(minutes, ours.per_minute);
    }
}

async fn logs_are_the_same(s: &Shared, job: &str, rows: &[&str]) {
    let job = lariat::JobId::existing(job).unwrap();
    let theirs = s.node("logs", json!({"id": job.as_str()})).await;
    let ours = s.queue.logs(&job, 0, 100).await.unwrap();
    assert_eq!((&theirs["logs"], &theirs["count"]), (&json!(ours.rows), &json!(ours.total)));
    assert_eq!(ours.rows, rows);
}

#[tokio::test]
async fn node_reads_what_we_wrote() {
    let s = Shared::start();
    let handler = async |job: Job| {
        job.progress(&json!({"half": [1, null]})).await?;
        job.log(format!("row of {}", job.name())).await?;
        match job.name() {
            "bad" => Err(JobError::retry("bröken")),
            "slow" => std::future::pending().await,
            _ => Ok(json!({"by": job.name()})),
        }
    };
    let slow = s.queue.add("slow", &()).await.unwrap();
    let worker = s.worker().name("rusty").concurrency(9).metrics(60).start(handler).unwrap();
    let good = s.queue.add("good", &json!({"é": [1.5, {}]})).await.unwrap();
    s.queue.add_bulk([1, 2, 3].map(|n| NewJob::new("good", &n))).await.unwrap();
    s.queue.add("bad", &"x").attempts(2).await.unwrap();
    let late = s.queue.add("bad", &()).attempts(1).await.unwrap();
    s.until_counted("completed", 4).await;
    s.until_counted("failed", 2).await;
    s.until_counted("active", 1).await;
    worker.quiet();
    s.queue.set_global_concurrency(Some(7)).await.unwrap();
    s.queue.set_global_rate_limit(Some(RateLimit { max: 2, duration: Duration::from_secs(90) })).await.unwrap();
    s.queue.pause().await.unwrap();
    for (name, priority) in [("a", 0), ("b", 1), ("c", 2), ("d", 2), ("e", 9)] {
        s.queue.add(name, &priority).priority(priority).await.unwrap();
        s.queue.add(name, &priority).priority(priority).delay(Duration::from_secs(600)).await.unwrap();
    }
    let plain = s.queue.add("moved", &()).await.unwrap();
    s.queue.edit(&plain).priority(3, false).await.unwrap();
    let delayed = s.queue.add("moved", &()).delay(Duration::from_secs(60)).await.unwrap();
    s.queue.edit(&delayed).delay(Duration::from_secs(1200)).await.unwrap();
    s.queue.edit(&delayed).data(&json!(["new"])).await.unwrap();
    s.queue.edit(&delayed).log(vec!["a".into(), "b".into(), String::new()], Some(2)).await.unwrap();
    let promoted = s.queue.add("moved", &()).delay(Duration::from_secs(60)).await.unwrap();
    s.queue.edit(&promoted).promote().await.unwrap();
    s.queue.edit(&late).retry().await.unwrap();
    let removed = s.queue.add("gone", &()).await.unwrap();
    s.queue.edit(&removed).remove().await.unwrap();
    assert_eq!(s.node("getJob", json!({"id": removed.as_str()})).await, Value::Null);
    queue_is_the_same(&s).await;
    s.queue.rate_limit_for(Duration::from_secs(300)).await.unwrap();
    queue_is_the_same(&s).await;
    let counts = jobs_are_the_same(&s).await;
    assert_eq!(counts["completed"] + counts["failed"] + counts["active"], 6);
    assert_eq!((counts["waiting"], counts["delayed"], counts["prioritized"]), (3, 6, 5), "{counts:?}");
    logs_are_the_same(&s, good.as_str(), &["row of good"]).await;
    logs_are_the_same(&s, delayed.as_str(), &["b", ""]).await;
    s.queue.edit(&delayed).trim_log(1).await.unwrap();
    logs_are_the_same(&s, delayed.as_str(), &[""]).await;
    logs_are_the_same(&s, "nobody", &[]).await;
    let held = s.queue.locks(10).await.unwrap();
    assert_eq!((held.len(), &held[0].id, held[0].worker.as_deref()), (1, &slow, Some("rusty")));
    s.queue.set_global_concurrency(None).await.unwrap();
    s.queue.set_global_rate_limit(None).await.unwrap();
    s.queue.forget_rate_limit().await.unwrap();
    s.queue.resume().await.unwrap();
    queue_is_the_same(&s).await;
    worker.cancel(&slow, "the test ends");
    worker.close(SECOND).await;
}

#[tokio::test]
async fn we_read_what_node_wrote() {
    let s = Shared::start();
    let steps = json!({
        "byName": {
            "bad": [{"progress": 12.5}, {"throw": {"message": "bröken"}}],
            "slow": [{"log": "begun"}, {"hold": true}, {"complete": null}],
        },
        "default": [{"progress": {"half": [1, null]}}, {"log": "row"}, {"log": ""}, {"echo": true}],
    });
    s.node_works(steps, json!({"concurrency": 9, "name": "noddy", "metrics": {"maxDataPoints": 60}})).await;
    for (name, data, opts) in [
        ("good", json!({"é": [1.5, {}]}), json!({})),
        ("good", json!(null), json!({"jobId": "own", "lifo": true})),
        ("bad", json!(1), json!({"attempts": 2, "stackTraceLimit": 1})),
        ("bad", json!(1), json!({"attempts": 3, "backoff": 3_600_000})),
        ("slow", json!("x"), json!({"deduplication": {"id": "one"}})),
    ] {
        s.node("add", json!({"name": name, "data": data, "opts": opts})).await;
    }
    s.until_counted("completed", 2).await;
    s.until_counted("failed", 1).await;
    s.until_counted("delayed", 1).await;
    s.until_counted("active", 1).await;
    s.node("worker.call", json!({"as": "w", "method": "pause", "args": [true]})).await;
    s.node("pause", json!({})).await;
    for priority in [0, 0, 1, 2, 2, 9] {
        let opts = json!({"priority": priority});
        s.node("add", json!({"name": "n", "data": {}, "opts": opts})).await;
    }
    let child = |flag: &str| json!({"name": "child", "queueName": "shared", "data": 1, "opts": {flag: true}});
    let children = [child("failParentOnFailure"), child("nothing")];
    let flow = json!({"name": "parent", "queueName": "shared", "data": {}, "children": children});
    s.node("flow", json!({"flow": flow})).await;
    let every = json!(["tick", {"every": 3_600_000}, {"name": "tock", "data": {"t": 1}}]);
    s.node("queue", json!({"method": "upsertJobScheduler", "args": every})).await;
    s.node("setGlobalConcurrency", json!({"concurrency": 4})).await;
    s.node("setGlobalRateLimit", json!({"max": 3, "duration": 60_000})).await;
    queue_is_the_same(&s).await;
    s.node("rateLimit", json!({"ms": 200_000})).await;
    queue_is_the_same(&s).await;
    let counts = jobs_are_the_same(&s).await;
    assert_eq!(counts["waiting-children"], 1);
    assert_eq!((counts["completed"], counts["failed"], counts["active"], counts["prioritized"]), (2, 1, 1, 4));
    logs_are_the_same(&s, "1", &["row", ""]).await;
    logs_are_the_same(&s, "own", &["row", ""]).await;
    // Their worker, and its lock, as an operator sees them.
    let workers = s.queue.workers().await.unwrap();
    assert_eq!(workers.iter().map(|worker| worker.name.as_deref()).collect::<Vec<_>>(), [Some("noddy")]);
    let held = s.queue.locks(10).await.unwrap();
    assert_eq!((held.len(), held[0].name.as_deref(), held[0].worker.as_deref()), (1, Some("slow"), Some("noddy")));
    let token: String =
        redis::cmd("GET").arg(format!("bull:shared:{}:lock", held[0].id)).query(&mut s.server.connection()).unwrap();
    let shown = held[0].token.as_deref().unwrap();
    assert!(shown.ends_with(&token[token.len() - 4..]) && !shown.contains(&token[..8]), "{shown} of {token}");
    let duplicate = s.node("add", json!({"name": "slow", "data": 1, "opts": {"deduplication": {"id": "one"}}})).await;
    assert_eq!(duplicate["id"], json!(held[0].id.as_str()));
    s.node("worker.tell", json!({"as": "w", "id": held[0].id.as_str(), "steps": [{"complete": 1}]})).await;
    s.until_counted("completed", 3).await;
    jobs_are_the_same(&s).await;
}

#[tokio::test]
async fn workers_of_all_sorts_are_listed_by_both_and_strangers_by_neither() {
    let s = Shared::start();
    let handler = || async |_: Job| Ok::<_, JobError>(());
    s.node_works(json!({"default": [{"complete": 1}]}), json!({})).await;
    let _nameless = s.worker().start(handler()).unwrap();
    let rusty = s.worker().name("rusty").start(handler()).unwrap();
    let _elsewhere = lariat::Worker::builder(&s.store, "elsewhere").start(handler()).unwrap();
    let listed = async || {
        let mut names: Vec<Option<String>> =
            s.queue.workers().await.unwrap().into_iter().map(|worker| worker.name).collect();
        names.sort();
        names
    };
    let all = [None, None, Some("rusty".to_owned())];
    wait::until_async("all are listed", || async { listed().await == all }).await;
    let theirs = s.node("queue", json!({"method": "getWorkersCount"})).await;
    assert_eq!(theirs, json!(3));
    // Clients that do not code the queue's name; Node does not list those.
    let mut python = s.server.connection();
    redis::cmd("CLIENT").arg("SETNAME").arg("bull:shared:w:snake").exec(&mut python).unwrap();
    let mut stranger = s.server.connection();
    redis::cmd("CLIENT").arg("SETNAME").arg("bull:shared:qe").exec(&mut stranger).unwrap();
    assert_eq!(listed().await, [None, None, Some("rusty".to_owned()), Some("snake".to_owned())]);
    let snake = s.queue.workers().await.unwrap().into_iter().find(|worker| worker.name.as_deref() == Some("snake"));
    let snake = snake.unwrap();
    assert!(snake.address.starts_with("127.0.0.1:"), "{snake:?}");
    assert!(snake.idle_for <= snake.connected_for, "{snake:?}");
    rusty.close(SECOND).await;
    wait::until_async("the closed one is gone", || async { listed().await.len() == 3 }).await;
}

#[tokio::test]
async fn queues_of_both_are_found() {
    let s = Shared::start();
    assert!(s.store.queues().await.unwrap().is_empty());
    s.node("add", json!({"name": "n", "data": 1})).await;
    s.node.call_async(json!({"op": "queue", "queue": "opened", "meta": true, "method": "isPaused"})).await;
    Queue::new(&s.store, "ours").unwrap().add("n", &1).await.unwrap();
    Queue::new(&s.store, "paused").unwrap().pause().await.unwrap();
    let found: Vec<String> = s.store.queues().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(found, ["opened", "ours", "paused", "shared"]);
}
