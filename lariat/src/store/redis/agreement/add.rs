//! Adding: standard, delayed, prioritized, lifo, custom ids, batches.

use super::*;

#[test]
fn standard_jobs() {
    let both = Both::start();
    both.add("n", &json!({"a": 1}), &json!({}), NOW);
    both.add("m", &json!(null), &json!({"attempts": 3, "backoff": {"type": "exponential", "delay": 100}}), NOW + 1);
    both.add("o", &json!("text"), &json!({"removeOnComplete": true, "removeOnFail": 5}), NOW + 2);
    both.assert_same();
}

#[test]
fn lifo_goes_to_the_front() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({}), NOW);
    both.add("n", &json!(2), &json!({"lifo": true}), NOW);
    both.add("n", &json!(3), &json!({}), NOW);
    both.assert_same();
}

#[test]
fn delays_take_places_within_a_millisecond() {
    let both = Both::start();
    for delay in [500, 500, 200, 500, 1] {
        both.add("n", &json!({}), &json!({"delay": delay}), NOW);
    }
    both.add("n", &json!({}), &json!({"delay": 499, "priority": 4}), NOW + 1);
    both.assert_same();
}

#[test]
fn a_full_millisecond_shares_its_last_place() {
    // Ours is without the fraction.
    let both = Both::without_markers();
    let high = (NOW + 500) * 4096 + 4095;
    both.both(&[&["ZADD", "bull:q:delayed", &high.to_string(), "x"]]);
    both.add("n", &json!({}), &json!({"delay": 500}), NOW);
    both.assert_same();
}

#[test]
fn priorities() {
    let both = Both::start();
    for priority in [5, 1, 2_097_151, 5] {
        both.add("n", &json!({}), &json!({"priority": priority}), NOW);
    }
    both.assert_same();
}

#[test]
fn an_id_that_exists_is_not_added_again() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({"jobId": "x"}), NOW);
    both.add("other", &json!(2), &json!({"jobId": "x", "delay": 50}), NOW + 1);
    both.add("n", &json!(3), &json!({}), NOW + 2);
    both.assert_same();
}

#[test]
fn a_paused_or_full_queue_gets_no_base_marker() {
    let both = Both::start();
    both.theirs(json!({"op": "pause", "now": NOW}));
    both.both(&[&["SELECT", "1"], &["HSET", "bull:q:meta", "paused", "1"]]);
    both.add("n", &json!(1), &json!({}), NOW);
    both.add("n", &json!(1), &json!({"delay": 5}), NOW);
    both.add("n", &json!(1), &json!({"priority": 5}), NOW);
    let found = both.pair.differences();
    assert!(!found.contains("marker"), "{found}");

    let both = Both::start();
    both.both(&[&["HSET", "bull:q:meta", "concurrency", "1"], &["LPUSH", "bull:q:active", "x"]]);
    both.add("n", &json!(1), &json!({}), NOW);
    both.assert_same();
}

#[test]
fn a_batch_is_as_if_added_one_by_one() {
    let both = Both::with(Options::default().events_in_any_order());
    let jobs = [
        ("a", json!({})),
        ("b", json!({"delay": 70})),
        ("c", json!({"priority": 3})),
        ("d", json!({"lifo": true})),
        ("e", json!({"delay": 70})),
        ("f", json!({"jobId": "x"})),
        ("g", json!({})),
        ("h", json!({"jobId": "x"})),
        ("i", json!({"priority": 3})),
        ("j", json!({"lifo": true})),
    ];
    let mut theirs = Vec::new();
    for (name, opts) in &jobs {
        let added = both.theirs(json!({"op": "add", "name": name, "data": 7, "opts": opts, "now": NOW}));
        theirs.push(added["id"].as_str().unwrap().to_owned());
    }
    let ours = both.add_ours(jobs.iter().map(|(name, opts)| new_job(name, &json!(7), opts, NOW)).collect());
    assert_eq!(theirs, ours);
    both.assert_same();
}

#[test]
fn a_long_stream_is_trimmed_alike() {
    let both = Both::start();
    both.both(&[&["HSET", "bull:q:meta", "opts.maxLenEvents", "20"]]);
    both.both(&[&["HSET", "bull:q:meta", "opts.maxLenEvents", "20"]]);
    let jobs: Vec<Value> = (0..150).map(|i| json!({"name": "n", "data": i, "opts": {}})).collect();
    both.theirs(json!({"op": "addBulk", "jobs": jobs, "now": NOW}));
    both.add_ours((0..150).map(|i| new_job("n", &json!(i), &json!({}), NOW)).collect());
    both.assert_same();
}

#[test]
fn a_repeated_call_adds_nothing() {
    let both = Both::start();
    let add = Add { call: both.call("producer"), jobs: vec![new_job("n", &json!(1), &json!({}), NOW); 3].into() };
    let first = both.runtime.block_on(both.queue.add(&add)).unwrap();
    let again = both.runtime.block_on(both.queue.add(&add)).unwrap();
    assert_eq!(first, again);
    let counts = both.runtime.block_on(both.queue.overview()).unwrap().counts;
    assert_eq!(counts.waiting, 3);

    let next = Add { call: both.call("producer"), jobs: vec![new_job("n", &json!(1), &json!({}), NOW)].into() };
    both.runtime.block_on(both.queue.add(&next)).unwrap();
    let late = both.runtime.block_on(both.queue.add(&add));
    assert!(late.is_err(), "{late:?}");
    assert_eq!(both.runtime.block_on(both.queue.overview()).unwrap().counts.waiting, 4);
}
