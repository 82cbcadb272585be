//! Keys of the wrong type, records that are gone, a server without memory: one job or one call may suffer, no job may
//! be lost, and what is whole goes on.

use serde_json::json;

use super::agreement::{Both, NOW, add_of, backoff, complete, delay, fail, id, new_job, retry, settle};
use crate::store::exchange::{Settle, Transition, Verdict};
use crate::{Keep, Refusal};

fn run(both: &Both, words: &[&str]) -> redis::Value {
    let mut connection = interop::redis::connect(&both.pair.ours());
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(*word);
    }
    command.query(&mut connection).unwrap()
}

/// Five jobs, the first two of them active with tokens t:1 and t:2, one of the others delayed, one with a priority.
fn ground() -> Both {
    let both = Both::ours_alone();
    let options = [json!({}), json!({}), json!({}), json!({"delay": 900}), json!({"priority": 4})];
    both.add_ours(options.iter().map(|opts| new_job("n", &json!(1), opts, NOW)).collect());
    both.ours(vec![], 2, 1, NOW);
    both
}

/// Each job is in a state, and only in one.
#[track_caller]
fn assert_none_lost(both: &Both, what: &str) {
    for job in 1..=5 {
        let found = both.runtime.block_on(both.queue.job(&id(&job.to_string()))).unwrap().expect("the record");
        assert!(found.state.is_some(), "{what}: job {job} is in no state");
    }
    let counts = both.runtime.block_on(both.queue.overview()).unwrap().counts;
    assert_eq!(counts.unfinished() + counts.completed + counts.failed, 5, "{what}: {counts:?}");
}

#[test]
fn a_queues_key_of_the_wrong_type_loses_no_job() {
    let ends: [fn() -> Vec<Settle>; 3] = [
        || vec![complete("1", 1, &json!(1), Keep::ALL), fail("2", 2, "x", 1, Keep::last(7))],
        || vec![retry("1", 1, "x", false), settle("2", 2, Transition::PutBack)],
        || vec![delay("1", 1, std::time::Duration::from_secs(1)), complete("2", 2, &json!(1), Keep::ALL)],
    ];
    for key in [
        "wait",
        "active",
        "prioritized",
        "delayed",
        "completed",
        "failed",
        "stalled",
        "limiter",
        "marker",
        "events",
        "id",
        "meta",
        "pc",
        "metrics:completed",
        "waiting-children",
    ] {
        for end in ends {
            let both = ground();
            let key = format!("bull:q:{key}");
            if run(&both, &["EXISTS", &key]) == redis::Value::Int(1) {
                run(&both, &["RENAME", &key, "kept"]);
            }
            match key.as_str() {
                "bull:q:limiter" | "bull:q:id" | "bull:q:pc" => run(&both, &["RPUSH", &key, "wrong"]),
                _ => run(&both, &["SET", &key, "wrong"]),
            };
            // Whatever is answered: it is an answer.
            let mut exchange = both.exchange_of(end(), 2, 3, NOW + 1);
            exchange.metrics = Some(5);
            let _ = both.try_send(&exchange);
            let _ = both.try_add(&add_of(&both, vec![new_job("m", &json!(1), &json!({}), NOW)]));
            run(&both, &["DEL", &key]);
            if run(&both, &["EXISTS", "kept"]) == redis::Value::Int(1) {
                run(&both, &["RENAME", "kept", &key]);
            }
            // The job that was added beside, if it was, is not counted.
            run(&both, &["LREM", "bull:q:wait", "0", "6"]);
            run(&both, &["LREM", "bull:q:active", "0", "6"]);
            assert_none_lost(&both, &key);
        }
    }
}

#[test]
fn a_broken_job_costs_its_own_verdict_only() {
    let both = ground();
    both.ours(vec![], 1, 3, NOW);
    run(&both, &["DEL", "bull:q:1"]);
    run(&both, &["SET", "bull:q:1", "no hash"]);
    run(&both, &["SET", "bull:q:2:dependencies", "no set"]);
    let done = both.ours((1..=3).map(|n| complete(&n.to_string(), n, &json!(n), Keep::ALL)).collect(), 0, 0, NOW + 1);
    let broken = |verdict: &Verdict| matches!(verdict, Verdict::Broken(words) if words.contains("WRONGTYPE"));
    assert!(broken(&done.verdicts[0]) && broken(&done.verdicts[1]), "{:?}", done.verdicts);
    assert_eq!(done.verdicts[2], Verdict::Accepted);
}

#[test]
fn without_memory_an_add_fails_whole_and_a_finish_goes_through() {
    let both = ground();
    run(&both, &["CONFIG", "SET", "maxmemory", "1"]);
    let refused = both.try_add(&add_of(&both, vec![new_job("m", &json!(1), &json!({}), NOW); 3]));
    let words = refused.unwrap_err().to_string();
    assert!(words.contains("out of memory"), "{words}");
    let done = both.ours(vec![complete("1", 1, &json!(1), Keep::ALL)], 0, 0, NOW + 1);
    assert_eq!(done.verdicts, [Verdict::Accepted]);
    run(&both, &["CONFIG", "SET", "maxmemory", "0"]);
    let counts = both.runtime.block_on(both.queue.overview()).unwrap().counts;
    assert_eq!((counts.waiting, counts.completed), (1, 1));
    assert_none_lost(&both, "no memory");
}

#[test]
fn without_memory_every_outcome_goes_through_and_jobs_are_taken() {
    let second = std::time::Duration::from_secs(1);
    let ends = [
        complete("1", 1, &json!(1), Keep::NONE),
        fail("1", 1, "x", 1, Keep::last(7)),
        retry("1", 1, "x", false),
        backoff("1", 1, "x", second),
        delay("1", 1, second),
        settle("1", 1, Transition::PutBack),
        settle("1", 1, Transition::WaitForChildren),
    ];
    for end in ends {
        let both = ground();
        run(&both, &["SADD", "bull:q:1:dependencies", "bull:q:3"]);
        if let Transition::Complete { .. } = &end.to {
            run(&both, &["DEL", "bull:q:1:dependencies"]);
        }
        run(&both, &["CONFIG", "SET", "maxmemory", "1"]);
        let done = both.ours(vec![end.clone()], 0, 0, NOW + 1);
        assert_eq!(done.verdicts, [Verdict::Accepted], "{end:?}");
    }
    // What writes nothing of its own is answered too, and an idle worker finds work.
    let both = ground();
    run(&both, &["CONFIG", "SET", "maxmemory", "1"]);
    let refused = both.ours(vec![complete("1", 9, &json!(1), Keep::ALL)], 1, 3, NOW + 1);
    assert_eq!(refused.verdicts, [Verdict::Refused(Refusal::LockTaken)]);
    assert_eq!(refused.jobs[0].id.as_str(), "3");
    let resumed = both.ours(vec![settle("2", 2, Transition::WaitForChildren)], 1, 4, NOW + 1);
    assert_eq!((resumed.verdicts, resumed.jobs[0].id.as_str()), (vec![Verdict::Resume], "5"));
    run(&both, &["CONFIG", "SET", "maxmemory", "0"]);
    run(&both, &["LPUSH", "bull:q:wait", "4"]);
    run(&both, &["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(both.ours(vec![], 1, 5, NOW + 1).jobs.len(), 1);
}

#[test]
fn a_job_stays_as_it_was_where_its_final_set_is_of_another_type() {
    for many in [false, true] {
        let both = ground();
        both.ours(vec![], 2, 3, NOW);
        both.add_ours(vec![new_job("n", &json!(1), &json!({}), NOW)]);
        both.ours(vec![], 1, 5, NOW);
        run(&both, &["SET", "bull:q:completed", "wrong"]);
        let mut ends = vec![complete("1", 1, &json!(1), Keep::ALL), complete("1", 1, &json!(1), Keep::ALL)];
        if many {
            ends.extend([settle("3", 3, Transition::PutBack), complete("6", 5, &json!(1), Keep::ALL)]);
        }
        let done = both.ours(ends, 0, 0, NOW + 1);
        for broken in [0, 1].into_iter().chain(many.then_some(3)) {
            let words = format!("{:?}", done.verdicts[broken]);
            assert!(words.contains("Broken") && words.contains("WRONGTYPE"), "{words}");
        }
        run(&both, &["DEL", "bull:q:completed"]);
        let record = both.stored("1");
        assert_eq!((record.finished_on, record.attempts_made), (None, 0));
        let again = both.ours(vec![complete("1", 1, &json!(1), Keep::ALL)], 0, 0, NOW + 2);
        assert_eq!(again.verdicts, [Verdict::Accepted]);
    }
}

#[test]
fn a_server_that_takes_no_writes_is_an_error_of_the_call() {
    let both = ground();
    run(&both, &["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let exchange = both.exchange_of(vec![complete("1", 1, &json!(1), Keep::ALL)], 1, 3, NOW + 1);
    assert!(both.try_send(&exchange).is_err());
    run(&both, &["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_none_lost(&both, "no replicas");
    assert_eq!(both.send(&exchange).verdicts, [Verdict::Accepted]);
}

#[test]
fn strange_settings_are_no_settings() {
    let both = ground();
    run(
        &both,
        &["HSET", "bull:q:meta", "concurrency", "many", "max", "few", "duration", "-", "opts.maxLenEvents", "x"],
    );
    let done = both.ours(vec![complete("1", 1, &json!(1), Keep::ALL)], 1, 3, NOW + 1);
    assert_eq!((done.verdicts.as_slice(), done.jobs.len()), ([Verdict::Accepted].as_slice(), 1));
    run(&both, &["HSET", "bull:q:meta", "max", "1", "duration", "0"]);
    assert_eq!(both.ours(vec![], 1, 4, NOW + 1).jobs.len(), 1);
}

#[test]
fn hostile_ids_and_payloads_pass_through() {
    let both = Both::ours_alone();
    let long = "x".repeat(300_000);
    for (name, data) in
        [("\u{1b}[31m", json!("\u{0}\u{202e}")), ("n\r\n+OK", json!({"a": long})), ("%s%d{}", json!(null))]
    {
        both.add_ours(vec![new_job(name, &data, &json!({}), NOW)]);
        let taken = both.ours(vec![], 1, 1, NOW);
        let record = taken.jobs[0].record.as_ref().unwrap();
        assert_eq!(record.name, name);
        assert_eq!(serde_json::from_str::<serde_json::Value>(record.data.get()).unwrap(), data);
        let done = both.ours(vec![complete(taken.jobs[0].id.as_str(), 1, &data, Keep::ALL)], 0, 0, NOW);
        assert_eq!(done.verdicts, [Verdict::Accepted]);
    }
    run(&both, &["HSET", "bull:q:odd", "name", "n", "data", "1"]);
    let mut connection = interop::redis::connect(&both.pair.ours());
    redis::cmd("HSET")
        .arg("bull:q:odd")
        .arg(b"\xff\xfe".as_slice())
        .arg(b"\x00\xff".as_slice())
        .exec(&mut connection)
        .unwrap();
    let mut many = vec!["HSET".to_owned(), "bull:q:odd".to_owned()];
    many.extend((0..3000).flat_map(|i| [format!("f{i}"), "x".to_owned()]));
    run(&both, &many.iter().map(String::as_str).collect::<Vec<_>>());
    run(&both, &["LPUSH", "bull:q:wait", "odd"]);
    let taken = both.ours(vec![], 1, 1, NOW);
    assert!(taken.jobs[0].record.is_ok(), "{:?}", taken.jobs[0].record);
}
