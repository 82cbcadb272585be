//! Adding jobs.

use std::collections::BTreeSet;
use std::time::Duration;

use lariat::{Backoff, BackoffKind, JobId, JobOptions, JobState, Keep, NewJob, Queue, Timestamp};
use serde_json::json;

use crate::fixture::{Fixture, on_both_stores};

on_both_stores! {
    a_job_is_stored_as_given,
    each_kind_of_job_lands_in_its_state,
    an_id_of_ones_own_is_added_once,
    bulk_ids_come_in_order_over_several_calls,
    a_payload_above_its_size_limit_is_refused_and_nothing_added,
    adds_at_the_same_time_share_calls,
    bad_input_is_refused_before_any_io,
    an_unreachable_store_is_an_error_in_time,
}

async fn a_job_is_stored_as_given(f: Fixture) {
    let before = Timestamp::now();
    let id = f
        .queue
        .add("welcome", &json!({"n": 1, "to": "ada"}))
        .attempts(3)
        .backoff(Backoff::exponential(Duration::from_millis(250)).jitter(0.5))
        .remove_on_complete(Keep::last(10))
        .remove_on_fail(Keep::for_at_most(Duration::from_secs(60)))
        .timeout(Duration::from_secs(7))
        .await
        .unwrap();
    let job = f.job(&id).await;
    assert_eq!(job.state, Some(JobState::Waiting));
    let record = job.record;
    assert_eq!((record.name.as_str(), record.data.get()), ("welcome", r#"{"n":1,"to":"ada"}"#));
    assert_eq!(record.options.attempts, 3);
    let backoff = record.options.backoff.unwrap();
    assert_eq!(
        (backoff.kind, backoff.delay, backoff.jitter),
        (BackoffKind::Exponential, Duration::from_millis(250), 0.5)
    );
    assert_eq!(record.options.remove_on_complete, Some(Keep::last(10)));
    assert_eq!(record.options.remove_on_fail, Some(Keep::for_at_most(Duration::from_secs(60))));
    assert_eq!(record.options.timeout, Some(Duration::from_secs(7)));
    assert!(record.timestamp >= before && record.timestamp <= Timestamp::now());
}

async fn each_kind_of_job_lands_in_its_state(f: Fixture) {
    let waiting = f.queue.add("a", &1).await.unwrap();
    let delayed = f.queue.add("b", &2).delay(Duration::from_secs(3600)).priority(4).await.unwrap();
    let prioritized = f.queue.add("c", &3).priority(4).await.unwrap();
    assert_eq!(f.state(&waiting).await, Some(JobState::Waiting));
    assert_eq!(f.state(&delayed).await, Some(JobState::Delayed));
    assert_eq!(f.state(&prioritized).await, Some(JobState::Prioritized));
    let counts = f.queue.overview().await.unwrap().counts;
    assert_eq!((counts.waiting, counts.delayed, counts.prioritized, counts.unfinished()), (1, 1, 1, 3));
}

async fn an_id_of_ones_own_is_added_once(f: Fixture) {
    let first = f.queue.add("pay", &1).id("invoice-7").await.unwrap();
    let second = f.queue.add("pay", &2).id("invoice-7").await.unwrap();
    assert_eq!(first, second);
    assert_eq!(f.job(&first).await.record.data.get(), "1");
    assert_eq!(f.queue.overview().await.unwrap().counts.waiting, 1);
}

async fn bulk_ids_come_in_order_over_several_calls(f: Fixture) {
    let ids = f.queue.add_bulk((0..1201).map(|n| NewJob::new("n", &n))).await.unwrap();
    assert_eq!(ids.len(), 1201);
    for n in [0usize, 499, 500, 1200] {
        assert_eq!(f.job(&ids[n]).await.record.data.get(), n.to_string());
    }
    assert_eq!(f.queue.overview().await.unwrap().counts.waiting, 1201);
}

async fn a_payload_above_its_size_limit_is_refused_and_nothing_added(f: Fixture) {
    // "häh" has 6 bytes as JSON: the quotes, and two for the ä.
    let id = f.queue.add("x", "häh").size_limit(6).await.unwrap();
    assert_eq!(f.job(&id).await.record.options.size_limit, Some(6), "it is stored as BullMQ stores it");
    let error = f.queue.add("x", "häh").size_limit(5).await.unwrap_err();
    assert_eq!(error.to_string(), r#"queue "mail": data size "6 bytes" must be at most 5 (the size limit)"#);
    let bulk = [NewJob::new("x", &1), NewJob::new("x", "häh").size_limit(5)];
    assert!(f.queue.add_bulk(bulk).await.unwrap_err().is_invalid());
    assert_eq!(f.queue.overview().await.unwrap().counts.waiting, 1);
}

async fn adds_at_the_same_time_share_calls(f: Fixture) {
    f.queue.add("first", &0).await.unwrap();
    let before = f.calls();
    let adds = (0..200).map(|n| {
        let queue = f.queue.clone();
        tokio::spawn(async move { queue.add("n", &n).await.unwrap() })
    });
    let mut ids = BTreeSet::new();
    for add in adds.collect::<Vec<_>>() {
        ids.insert(add.await.unwrap());
    }
    assert_eq!(ids.len(), 200);
    let calls = f.calls() - before;
    assert!((1..=100).contains(&calls), "200 adds took {calls} calls");
}

async fn bad_input_is_refused_before_any_io(f: Fixture) {
    // There is no store: an error about the value shows that nothing was sent.
    let store = f.nowhere();
    let queue = Queue::new(&store, "mail").unwrap();
    let century = Duration::from_secs(100 * 366 * 24 * 3600);
    let with_id = |id| {
        let mut options = JobOptions::default();
        options.id = Some(JobId::existing(id).unwrap());
        options
    };
    let cases = [
        (queue.add("x", &1).priority(2_097_152).await, "priority \"2097152\""),
        (queue.add("x", &1).delay(century).await, "delay"),
        (queue.add("x", &1).id("17").await, "job id \"17\""),
        (queue.add("x", &1).id("a:b").await, "job id \"a:b\""),
        (queue.add("x", &1).options(with_id("meta")).await, "job id \"meta\""),
        (queue.add("", &1).await, "job name"),
        (queue.add("x", "12").size_limit(3).await, "data size \"4 bytes\""),
        (queue.add("x", &1).backoff(Backoff::fixed(Duration::ZERO).jitter(2.0)).await, "backoff jitter \"2\""),
    ];
    for (result, words) in cases {
        let error = result.unwrap_err();
        assert!(error.is_invalid() && error.to_string().contains(words), "{error}");
        assert_eq!(error.queue(), Some("mail"));
    }
    let bulk = queue.add_bulk([NewJob::new("x", &1), NewJob::new("x", &1).priority(u32::MAX)]).await;
    assert!(bulk.unwrap_err().is_invalid());
    assert!(Queue::new(&store, "a:b").unwrap_err().is_invalid());
}

async fn an_unreachable_store_is_an_error_in_time(mut f: Fixture) {
    f.go_away();
    let queue = f.queue.clone().with_patience(Duration::from_millis(200));
    let error = queue.add("x", &1).await.unwrap_err();
    assert!(error.is_unreachable() && !error.is_unknown(), "{error:?}");
}
