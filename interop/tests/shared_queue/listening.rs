//! Our event stream beside Node's.

use std::time::Duration;

use interop::wait;
use lariat::{EventKind, Job, JobError, JobState, QueueEvent, QueueEvents};
use serde_json::{Value, json};

use crate::Shared;

/// All events up to the first that `last` wants.
async fn until(events: &mut QueueEvents, last: impl Fn(&EventKind) -> bool) -> Vec<QueueEvent> {
    let mut seen = Vec::new();
    loop {
        let event = tokio::time::timeout(wait::DEADLINE, events.next()).await.expect("an event comes").unwrap();
        let done = last(&event.kind);
        seen.push(event);
        if done {
            return seen;
        }
    }
}

fn name_of(event: &QueueEvent) -> &str {
    &event.raw.0
}

#[tokio::test]
async fn what_node_does_is_told_in_types() {
    let s = Shared::start();
    let mut events = QueueEvents::from_now(&s.store, "shared").await.unwrap();
    assert_eq!(events.last_id(), "0-0");
    let add = async |name: &str, opts: Value| s.node("add", json!({"name": name, "data": 1, "opts": opts})).await;
    add("good", json!({"jobId": "good"})).await;
    add("good", json!({"jobId": "good"})).await;
    add("bad", json!({"jobId": "bad", "attempts": 2})).await;
    add("late", json!({"jobId": "late", "delay": 3_600_000})).await;
    add("same", json!({"deduplication": {"id": "d"}, "delay": 3_600_000, "jobId": "first"})).await;
    add("same", json!({"deduplication": {"id": "d"}, "jobId": "second"})).await;
    let child = json!({"name": "c", "queueName": "shared", "opts": {"jobId": "c", "delay": 3_600_000}});
    let flow = json!({"name": "p", "queueName": "shared", "opts": {"jobId": "p"}, "children": [child]});
    s.node("flow", json!({"flow": flow})).await;
    let steps = json!({"byName": {"bad": [{"throw": {"message": "no"}}]}, "default": [{"progress": {"p": 1}}, {"complete": [1, "é"]}]});
    s.node_works(steps, json!({})).await;
    s.until_counted("failed", 1).await;
    s.until_counted("completed", 1).await;
    s.node("job", json!({"id": "late", "method": "promote"})).await;
    s.until_counted("completed", 2).await;
    s.node("worker.stop", json!({"as": "w"})).await;
    s.node("job", json!({"id": "first", "method": "remove"})).await;
    s.node("queue", json!({"method": "clean", "args": [0, 10, "completed"]})).await;
    s.node("pause", json!({})).await;
    s.node("resume", json!({})).await;
    let seen = until(&mut events, |kind| matches!(kind, EventKind::Resumed)).await;
    let all = |job: &str| -> Vec<&EventKind> {
        seen.iter().map(|e| &e.kind).filter(|kind| kind.job().is_some_and(|id| id.as_str() == job)).collect()
    };
    assert!(
        matches!(all("good")[..], [
        EventKind::Added { name, .. },
        EventKind::Waiting { from: None, .. },
        EventKind::Duplicated { .. },
        EventKind::Active { .. },
        EventKind::Progress { progress, .. },
        EventKind::Completed { value, .. },
    ] if name == "good" && progress.get() == r#"{"p":1}"# && value.get() == r#"[1,"é"]"#),
        "{:?}",
        all("good")
    );
    assert!(
        matches!(all("bad")[2..], [
        EventKind::Active { .. },
        EventKind::Waiting { from: Some(JobState::Active), .. },
        EventKind::Active { .. },
        EventKind::Failed { reason, .. },
        EventKind::RetriesExhausted { attempts_made: 2, .. },
    ] if reason == "no"),
        "{:?}",
        all("bad")
    );
    let late = s.queue.job(&lariat::JobId::existing("late").unwrap()).await.unwrap();
    assert!(late.is_none(), "it was cleaned");
    assert!(
        matches!(all("late")[..3], [
        EventKind::Added { .. },
        EventKind::Delayed { due, .. },
        EventKind::Waiting { from: Some(JobState::Delayed), .. },
    ] if due.as_millis() > seen[0].at.as_millis() + 3_000_000),
        "{:?}",
        all("late")
    );
    assert!(
        matches!(all("first")[2..], [
        EventKind::Deduplicated { deduplication_id, dropped, .. },
        EventKind::Removed { .. },
    ] if deduplication_id == "d" && dropped == "second"),
        "{:?}",
        all("first")
    );
    assert!(matches!(all("p")[1..], [EventKind::WaitingChildren { .. }]), "{:?}", all("p"));
    let tail: Vec<&EventKind> = seen[seen.len() - 3..].iter().map(|event| &event.kind).collect();
    assert!(matches!(tail[..], [EventKind::Cleaned { count: 2 }, EventKind::Paused, EventKind::Resumed]), "{tail:?}");
    assert!(seen.iter().all(|event| !matches!(event.kind, EventKind::Other)), "{seen:?}");
    assert!(seen.is_sorted_by(|a, b| a.at <= b.at));
    // Node's own listener sees the same, in the same order.
    s.node("events.start", json!({"as": "e"})).await;
    s.node("events.wait", json!({"as": "e", "event": "resumed"})).await;
    let theirs = s.node("events.seen", json!({"as": "e"})).await;
    let theirs: Vec<&str> = theirs.as_array().unwrap().iter().filter_map(|row| row["event"].as_str()).collect();
    assert_eq!(theirs, seen.iter().map(name_of).collect::<Vec<_>>());
}

#[tokio::test]
async fn reading_on_from_where_another_ended() {
    let s = Shared::start();
    let mut first = QueueEvents::from_now(&s.store, "shared").await.unwrap();
    for _ in 0..3 {
        s.queue.add("n", &1).await.unwrap();
    }
    until(&mut first, |kind| matches!(kind, EventKind::Waiting { job, .. } if job.as_str() == "2")).await;
    let mut second = QueueEvents::after(&s.store, "shared", first.last_id()).unwrap();
    assert!(matches!(second.next().await.unwrap().kind, EventKind::Added { job, .. } if job.as_str() == "3"));
    let mut all = QueueEvents::after(&s.store, "shared", "0-0").unwrap();
    assert!(matches!(all.next().await.unwrap().kind, EventKind::Added { job, .. } if job.as_str() == "1"));
    // Who begins now sees only what comes now, though there are older ones.
    let mut late = QueueEvents::from_now(&s.store, "shared").await.unwrap();
    assert_ne!(late.last_id(), "0-0");
    s.node("pause", json!({})).await;
    assert!(matches!(late.next().await.unwrap().kind, EventKind::Paused));
}

/// A wait that was given up loses nothing, and a listener that waits is woken by what comes.
#[tokio::test]
async fn giving_up_a_wait_loses_no_event() {
    let s = Shared::start();
    let mut events = QueueEvents::from_now(&s.store, "shared").await.unwrap();
    for _ in 0..3 {
        assert!(tokio::time::timeout(Duration::from_millis(30), events.next()).await.is_err());
    }
    let (id, added) = tokio::join!(s.queue.add("n", &1).into_future(), events.next());
    assert_eq!(added.unwrap().kind.job(), Some(&id.unwrap()));
    let worker = s.worker().start(async |_: Job| Ok::<_, JobError>(())).unwrap();
    until(&mut events, |kind| matches!(kind, EventKind::Completed { .. })).await;
    drop(worker);
}
