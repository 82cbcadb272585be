//! Which finished jobs are kept.

use super::steps::End;
use super::*;

fn run(rule: &Value, keep: Keep, ended: &[u64]) {
    let both = Both::without_markers();
    for (n, at) in (1..).zip(ended) {
        both.add("n", &json!(1), &json!({"removeOnComplete": rule}), NOW);
        let job = both.fetch(n, NOW).unwrap();
        both.both(&[&["RPUSH", &format!("bull:q:{job}:logs"), "row"]]);
        both.theirs(
            json!({"op": "moveToCompleted", "id": job, "value": 1, "token": format!("t:{n}"), "now": NOW + at}),
        );
        both.ours(vec![complete(&job, n, &json!(1), keep)], 0, 0, NOW + at);
        let found = both.pair.differences();
        assert!(found.is_empty(), "{rule} after {n}: {found}");
    }
}

#[test]
fn by_count() {
    run(&json!(2), Keep::last(2), &[1, 2, 3, 3, 4]);
    run(&json!(1), Keep::last(1), &[5, 4, 3]);
}

#[test]
fn by_age() {
    let age = |secs| Keep::for_at_most(Duration::from_secs(secs));
    run(&json!({"age": 5}), age(5), &[0, 1000, 6000, 6001, 20_000]);
    run(&json!({"age": 0}), age(0), &[0, 1]);
}

#[test]
fn by_age_and_count_and_limit() {
    let keep = Keep { count: Some(3), age: Some(Duration::from_secs(5)), limit: Some(1) };
    run(&json!({"count": 3, "age": 5, "limit": 1}), keep, &[0, 1, 2, 3, 9000, 9001, 9002, 9003]);
    let keep = Keep { count: None, age: Some(Duration::from_secs(5)), limit: Some(2) };
    run(&json!({"age": 5, "limit": 2}), keep, &[0, 1, 2, 3, 9000, 9001, 9002]);
}

#[test]
fn failed_jobs_have_a_rule_of_their_own() {
    let both = Both::without_markers();
    for n in 1..=3 {
        both.add("n", &json!(1), &json!({"removeOnFail": 1}), NOW);
        let job = both.fetch(n, NOW).unwrap();
        both.theirs(json!({"op": "moveToFailed", "id": job, "error": {"message": "x"}, "token": format!("t:{n}"), "now": NOW + n}));
        both.ours(vec![fail(&job, n, "x", 0, Keep::last(1))], 0, 0, NOW + n);
        both.both(&[&["HSET", &format!("bull:q:{job}"), "stacktrace", "[]"]]);
        both.assert_same();
    }
}

#[test]
fn a_removed_child_is_waited_for_no_longer() {
    // c0 failed without a flag and holds its parent; retention of c1 removes c0, which frees the parent.
    // BullMQ removes before it says `failed`, we after: the order of the events of two jobs.
    let both = Both::with(Options::default().without_key(":marker").events_in_any_order());
    let child =
        |id: &str| json!({"name": "child", "queueName": "q", "data": 1, "opts": {"jobId": id, "removeOnFail": 1}});
    let flow = json!({"name": "p", "queueName": "q", "data": {}, "opts": {"jobId": "p", "priority": 3}, "children": [child("c0")]});
    both.pair.theirs(json!({"op": "flow", "flow": flow, "now": NOW}));
    both.copy();
    both.add("n", &json!(1), &json!({"removeOnFail": 1}), NOW);
    for n in 1..=2 {
        let job = both.fetch(n, NOW).unwrap();
        both.theirs(json!({"op": "moveToFailed", "id": job, "error": {"message": "x"}, "token": format!("t:{n}"), "now": NOW + n}));
        both.ours(vec![fail(&job, n, "x", 0, Keep::last(1))], 0, 0, NOW + n);
        both.both(&[&["HSET", &format!("bull:q:{job}"), "stacktrace", "[]"]]);
        both.assert_same();
    }
}

#[test]
fn a_rule_that_comes_late_works_in_parts() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({}), NOW);
    let job = both.fetch(1, NOW).unwrap();
    let mut old = vec!["ZADD".to_owned(), "bull:q:completed".to_owned()];
    old.extend((0..2500).flat_map(|i| [i.to_string(), format!("old{i}")]));
    both.both(&[&old.iter().map(String::as_str).collect::<Vec<_>>()]);
    both.ours(vec![complete(&job, 1, &json!(1), Keep::last(10))], 0, 0, NOW + 1);
    let left = both.runtime.block_on(both.queue.overview()).unwrap().counts.completed;
    assert_eq!(left, 1501);
}

#[test]
fn a_job_that_goes_takes_all_that_is_its_own() {
    let both = Both::without_markers();
    for (keep, end) in [("removeOnComplete", End::Completed), ("removeOnFail", End::Failed)] {
        for rule in [json!(true), json!(1), json!({"age": 1}), json!({"age": 1, "count": 1})] {
            both.wipe();
            for n in 1..=2 {
                both.add("n", &json!(1), &json!({keep: rule, "jobId": format!("j{n}")}), NOW);
                let job = both.hold(n, NOW);
                let key = |more: &str| format!("bull:q:j{n}:{more}");
                both.both(&[
                    &["RPUSH", &key("logs"), "row"],
                    &["HSET", &key("processed"), "c", "1"],
                    &["HSET", &key("failed"), "c", "1"],
                    &["SET", &key("else"), "stays"],
                ]);
                if end == End::Failed {
                    both.both(&[
                        &["SADD", &key("dependencies"), "bull:q:c"],
                        &["ZADD", &key("unsuccessful"), "1", "bull:q:c"],
                    ]);
                }
                both.end(&job, end, NOW + 5000 * n);
                let found = both.pair.differences();
                assert!(found.is_empty(), "{rule} {end:?} {n}: {found}");
            }
        }
    }
}

#[test]
fn a_deduplication_id_outlives_its_job_that_is_removed_later() {
    let both = Both::without_markers();
    let dedup = json!({"removeOnComplete": 1, "deduplication": {"id": "d", "ttl": 600_000}});
    both.by_node(json!({"op": "add", "name": "n", "data": 1, "opts": dedup, "now": NOW})).unwrap();
    both.add("n", &json!(1), &json!({"removeOnComplete": 1}), NOW);
    for n in 1..=2 {
        let job = both.hold(n, NOW);
        both.end(&job, End::Completed, NOW + n);
        both.assert_same();
    }
}

#[test]
fn rules_differ_from_job_to_job() {
    let both = Both::without_markers();
    let rules =
        [json!(3), json!(false), json!({"count": 2, "age": 500}), json!(true), json!(1), json!({"age": 100}), json!(0)];
    for (n, rule) in (1..).zip(rules) {
        both.add("n", &json!(1), &json!({"removeOnComplete": rule, "removeOnFail": rule}), NOW);
        let job = both.hold(n, NOW);
        both.end(&job, if n % 2 == 0 { End::Failed } else { End::Completed }, NOW + n);
        let found = both.pair.differences();
        assert!(found.is_empty(), "{rule}: {found}");
    }
}
