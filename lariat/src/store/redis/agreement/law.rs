//! The law of the exchange, and lanes.
//!
//! At one `now`, `exchange(a ++ b, n)` leaves the same store as `exchange(a, 0)` and then `exchange(b, n)`, up to the
//! order of events, an extra base marker, and the `drained` event of the first.

use interop::keyspace::{Keyspace, differences, dump_with};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::store::exchange::{Hint, Verdict};

/// How a job is added, and what becomes of it.
#[derive(Debug, Clone)]
struct Fate {
    opts: Value,
    active: bool,
    to: To,
}

#[derive(Debug, Clone, Copy)]
enum To {
    Complete(Keep),
    Fail(Keep),
    Retry(bool),
    Backoff(u64),
    Delay(u64),
    PutBack,
    Stolen,
    WaitForChildren,
}

fn keep() -> impl Strategy<Value = Keep> {
    prop_oneof![
        3 => Just(Keep::ALL),
        1 => Just(Keep::NONE),
        1 => (1u64..4).prop_map(Keep::last),
        1 => Just(Keep::for_at_most(Duration::from_secs(0))),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    let opts = prop_oneof![
        3 => Just(json!({})),
        1 => (1..4).prop_map(|p| json!({"priority": p})),
        1 => (0..3).prop_map(|d| json!({"delay": d})),
        1 => Just(json!({"lifo": true})),
    ];
    let to = prop_oneof![
        4 => keep().prop_map(To::Complete),
        2 => keep().prop_map(To::Fail),
        1 => any::<bool>().prop_map(To::Retry),
        1 => (0u64..3).prop_map(To::Backoff),
        1 => (0u64..3).prop_map(To::Delay),
        1 => Just(To::PutBack),
        1 => Just(To::Stolen),
        1 => Just(To::WaitForChildren),
    ];
    (opts, prop::bool::weighted(0.7), to).prop_map(|(opts, active, to)| Fate { opts, active, to })
}

fn outcome(job: &str, n: u64, to: To) -> Settle {
    match to {
        To::Complete(keep) => complete(job, n, &json!(n), keep),
        To::Fail(keep) => fail(job, n, "boom", 1, keep),
        To::Retry(lifo) => retry(job, n, "boom", lifo),
        To::Backoff(ms) => backoff(job, n, "boom", Duration::from_millis(ms)),
        To::Delay(ms) => delay(job, n, Duration::from_millis(ms)),
        To::PutBack => settle(job, n, Transition::PutBack),
        To::Stolen => complete(job, 999_999, &json!(n), Keep::ALL),
        To::WaitForChildren => settle(job, n, Transition::WaitForChildren),
    }
}

/// What is compared: everything but the markers, and the `drained` events.
fn dump(url: &str) -> Keyspace {
    let mut connection = interop::redis::connect(url);
    let script = "for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
        if entry[2][2] == 'drained' then redis.call('XDEL', KEYS[1], entry[1]) end end";
    redis::cmd("EVAL").arg(script).arg(1).arg("bull:q:events").exec(&mut connection).unwrap();
    dump_with(url, &Options::default().without_key(":marker").events_in_any_order())
}

#[derive(Debug, Clone)]
struct World {
    fates: Vec<Fate>,
    order: Vec<usize>,
    split: usize,
    want: usize,
    meta: Vec<(&'static str, u64)>,
}

fn world() -> impl Strategy<Value = World> {
    let meta = prop_oneof![
        4 => Just(vec![]),
        1 => (1u64..9).prop_map(|n| vec![("concurrency", n)]),
        1 => (1u64..9).prop_map(|n| vec![("max", n), ("duration", 60_000)]),
        1 => Just(vec![("paused", 1)]),
    ];
    (prop::collection::vec(fate(), 1..24), 0usize..6, meta).prop_flat_map(|(fates, want, meta)| {
        let active: Vec<usize> = (0..fates.len()).filter(|i| fates[*i].active).collect();
        let count = active.len();
        (Just(active).prop_shuffle(), 0..=count).prop_map(move |(order, split)| World {
            fates: fates.clone(),
            order,
            split,
            want,
            meta: meta.clone(),
        })
    })
}

struct Lab {
    server: interop::redis::RedisServer,
    runtime: tokio::runtime::Runtime,
}

impl Lab {
    /// Lays the world in one database: jobs added, some of them taken by hand, a family among them.
    fn lay(&self, db: u8, world: &World) -> Arc<dyn QueueBackend> {
        let url = self.server.url_db(db);
        let mut connection = interop::redis::connect(&url);
        redis::cmd("FLUSHDB").exec(&mut connection).unwrap();
        let queue = open(&url, "q");
        let jobs = world.fates.iter().map(|fate| new_job("n", &json!(1), &fate.opts, NOW)).collect();
        let add = Add { call: LaneCall { base: "adds".into(), number: 1 }, jobs };
        let ids = self.runtime.block_on(queue.add(&add)).unwrap();
        let mut pipe = redis::pipe();
        pipe.cmd("PING").ignore();
        for (i, id) in ids.iter().enumerate() {
            let id = id.as_ref().unwrap().as_str();
            let job = format!("bull:q:{id}");
            if world.fates[i].active {
                pipe.cmd("LREM").arg("bull:q:wait").arg(0).arg(id).ignore();
                pipe.cmd("ZREM").arg("bull:q:prioritized").arg(id).ignore();
                pipe.cmd("ZREM").arg("bull:q:delayed").arg(id).ignore();
                pipe.cmd("LPUSH").arg("bull:q:active").arg(id).ignore();
                let token = format!("t:{}", i + 1);
                pipe.cmd("SET").arg(format!("{job}:lock")).arg(token).arg("PX").arg(600_000).ignore();
                pipe.cmd("HSET").arg(&job).arg("ats").arg(1).arg("processedOn").arg(NOW).ignore();
            }
            // Each third is a child of the first, which waits or will.
            if i % 3 == 2 {
                pipe.cmd("HSET").arg(&job).arg("parentKey").arg("bull:q:1").ignore();
                pipe.cmd("HSET").arg(&job).arg("parent").arg(r#"{"id":"1","queueKey":"bull:q","idof":true}"#).ignore();
                pipe.cmd("SADD").arg("bull:q:1:dependencies").arg(&job).ignore();
            }
        }
        for (field, value) in &world.meta {
            pipe.cmd("HSET").arg("bull:q:meta").arg(*field).arg(*value).ignore();
        }
        pipe.exec(&mut connection).unwrap();
        queue
    }

    fn send(&self, queue: &dyn QueueBackend, number: u64, outcomes: Vec<Settle>, want: usize) -> Exchanged {
        let exchange = Exchange {
            call: LaneCall { base: "lane".into(), number },
            now: at(NOW + 1),
            outcomes,
            want,
            lease: Lease { first: 100, lock_duration: LOCK, worker: None },
            limiter: None,
            metrics: Some(5),
            wake_another: false,
        };
        self.runtime.block_on(queue.exchange(&exchange, PATIENCE)).unwrap()
    }
}

#[test]
fn one_call_is_as_good_as_two() {
    let lab = Lab {
        server: interop::redis::RedisServer::start(),
        runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
    };
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let result = runner.run(&world(), |world| {
        let outcomes: Vec<Settle> =
            world.order.iter().map(|i| outcome(&(i + 1).to_string(), *i as u64 + 1, world.fates[*i].to)).collect();
        let (a, b) = outcomes.split_at(world.split);
        let whole = lab.lay(0, &world);
        let together = lab.send(&*whole, 1, outcomes.clone(), world.want);
        let parts = lab.lay(1, &world);
        let first = lab.send(&*parts, 1, a.to_vec(), 0);
        let second = lab.send(&*parts, 2, b.to_vec(), world.want);
        let verdicts: Vec<Verdict> = first.verdicts.into_iter().chain(second.verdicts.clone()).collect();
        prop_assert_eq!(&together.verdicts, &verdicts);
        let ids = |exchanged: &Exchanged| exchanged.jobs.iter().map(|job| job.id.to_string()).collect::<Vec<_>>();
        prop_assert_eq!(ids(&together), ids(&second));
        let same_hint = together.hint == second.hint
            || matches!((together.hint, second.hint), (Hint::LimitedFor(_), Hint::LimitedFor(_)));
        prop_assert!(same_hint, "{:?} {:?}", together.hint, second.hint);
        let (whole, parts) = (dump(&lab.server.url_db(0)), dump(&lab.server.url_db(1)));
        prop_assert_eq!(differences(&whole, &parts), "");
        Ok(())
    });
    if let Err(why) = result {
        panic!("{why}");
    }
}

#[test]
fn a_repeat_has_no_second_effect_and_the_same_answer() {
    let both = Both::start();
    for _ in 0..6 {
        both.add_ours(vec![new_job("n", &json!(1), &json!({}), NOW)]);
    }
    both.ours(vec![], 2, 1, NOW);
    let outcomes = vec![complete("1", 1, &json!(1), Keep::ALL), complete("2", 9, &json!(1), Keep::ALL)];
    let exchange = both.exchange_of(outcomes, 2, 3, NOW + 5);
    let first = both.send(&exchange);
    let before = dump(&both.pair.ours());
    let again = both.send(&exchange);
    assert_eq!(differences(&before, &dump(&both.pair.ours())), "");
    assert_eq!(first.verdicts, [Verdict::Accepted, Verdict::Refused(Refusal::LockTaken)]);
    assert_eq!(again.verdicts, first.verdicts);
    let jobs = |exchanged: &Exchanged| {
        exchanged.jobs.iter().map(|job| format!("{} {} {:?}", job.id, job.token, job.record)).collect::<Vec<_>>()
    };
    assert_eq!(jobs(&again), jobs(&first));
    assert_eq!(again.hint, Hint::Again);
}

#[test]
fn a_repeat_hands_out_only_what_is_still_locked_by_it() {
    let both = Both::start();
    both.add_ours(vec![new_job("n", &json!(1), &json!({}), NOW); 3]);
    let exchange = both.exchange_of(vec![], 3, 1, NOW);
    both.send(&exchange);
    let mut connection = interop::redis::connect(&both.pair.ours());
    let mut run = |words: &[&str]| -> redis::Value {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query(&mut connection).unwrap()
    };
    run(&["DEL", "bull:q:1:lock"]);
    run(&["SET", "bull:q:2:lock", "somebody", "PX", "30000"]);
    run(&["PEXPIRE", "bull:q:3:lock", "5000"]);
    run(&["SADD", "bull:q:stalled", "1", "2", "3"]);
    let again = both.send(&exchange);
    assert_eq!(again.jobs.iter().map(|job| (job.id.as_str(), &*job.token)).collect::<Vec<_>>(), [("3", "t:3")]);
    let redis::Value::Int(left) = run(&["PTTL", "bull:q:3:lock"]) else { panic!("a number") };
    assert!(left > 20_000, "{left}");
    assert_eq!(run(&["SISMEMBER", "bull:q:stalled", "3"]), redis::Value::Int(0));
    assert_eq!(run(&["SISMEMBER", "bull:q:stalled", "1"]), redis::Value::Int(1));
}

#[test]
fn a_first_sending_that_runs_after_its_repeat_and_an_old_one_do_nothing() {
    let both = Both::start();
    both.add_ours(vec![new_job("n", &json!(1), &json!({}), NOW); 5]);
    let first = both.exchange_of(vec![], 1, 1, NOW);
    both.send(&first);
    let second = both.exchange_of(vec![complete("1", 1, &json!(1), Keep::ALL)], 1, 2, NOW + 1);
    both.send(&second);
    let before = dump(&both.pair.ours());
    // The late twin of the answered call.
    both.send(&second);
    assert_eq!(differences(&before, &dump(&both.pair.ours())), "");
    // A call that was answered long ago.
    let stale = both.runtime.block_on(both.queue.exchange(&first, PATIENCE));
    assert!(stale.is_err(), "{stale:?}");
    assert_eq!(differences(&before, &dump(&both.pair.ours())), "");
}

#[test]
fn lanes_are_kept_for_five_minutes_and_apart() {
    let both = Both::start();
    both.add_ours(vec![new_job("n", &json!(1), &json!({}), NOW); 2]);
    let exchange = both.exchange_of(vec![], 1, 1, NOW);
    both.send(&exchange);
    let other = Exchange { call: LaneCall { base: "u".into(), number: exchange.call.number }, ..exchange };
    assert_eq!(both.send(&other).jobs[0].id.as_str(), "2");
    let mut connection = interop::redis::connect(&both.pair.ours());
    for lane in ["t", "u"] {
        let left: i64 = redis::cmd("PTTL").arg(format!("lariat:bull:q:lane:{lane}")).query(&mut connection).unwrap();
        assert!((280_000..=300_000).contains(&left), "{left}");
    }
}

#[test]
fn a_closing_worker_restores_the_marker_it_may_have_popped() {
    let both = Both::start();
    both.add_ours(vec![new_job("n", &json!(1), &json!({}), NOW), new_job("n", &json!(1), &json!({"delay": 900}), NOW)]);
    let marker = || -> Vec<String> {
        let mut connection = interop::redis::connect(&both.pair.ours());
        redis::cmd("ZRANGE").arg("bull:q:marker").arg(0).arg(-1).query(&mut connection).unwrap()
    };
    both.both(&[&["DEL", "bull:q:marker"]]);
    let mut closing = both.exchange_of(vec![], 0, 1, NOW);
    both.send(&closing);
    assert!(marker().is_empty());
    closing = both.exchange_of(vec![], 0, 1, NOW);
    closing.wake_another = true;
    both.send(&closing);
    assert_eq!(marker(), ["0", "1"]);
    both.both(&[&["DEL", "bull:q:marker"], &["HSET", "bull:q:meta", "paused", "1"]]);
    closing = both.exchange_of(vec![], 0, 1, NOW);
    closing.wake_another = true;
    both.send(&closing);
    assert_eq!(marker(), ["1"]);
}
