//! Pages, counts, logs and metrics: what BullMQ's getters say of the same queue.

use super::*;
use crate::JobState;
use crate::store::view::Page;

fn ids(both: &Both, state: JobState, from: u64, count: u64, oldest_first: bool) -> Vec<String> {
    let page = Page { state, from, count, oldest_first };
    let page = both.runtime.block_on(both.queue.page(&page)).unwrap();
    assert!(page.damaged.is_empty(), "{:?}", page.damaged);
    page.jobs.iter().map(|job| job.id.to_string()).collect()
}

/// BullMQ's range: both ends are in it.
fn their_ids(both: &Both, state: JobState, from: u64, count: u64, asc: bool) -> Vec<String> {
    let (start, end) = (from, from + count - 1);
    let jobs = both.theirs(json!({"op": "getJobs", "types": [state.as_str()], "start": start, "end": end, "asc": asc}));
    jobs.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

/// Seven jobs in each state, those of the same time and priority among them.
fn crowd(both: &Both) {
    for i in 0..7u64 {
        both.add("n", &json!(i), &json!({}), NOW + i);
        both.add("n", &json!(i), &json!({"priority": 1 + i % 3}), NOW + i);
        both.add("n", &json!(i), &json!({"delay": 90_000 - 1000 * (i % 4)}), NOW);
    }
    for n in 0..21 {
        both.add("n", &json!(n), &json!({"lifo": true}), NOW);
        let state = if n % 2 == 0 { JobState::Completed } else { JobState::Failed };
        if n < 14 {
            both.finish_next(100 + n, state, NOW + 50 - n / 3);
        } else {
            both.hold(100 + n, NOW + 60);
        }
    }
    for i in 0..7 {
        let child = json!({"name": "c", "queueName": "other", "data": 1, "opts": {"jobId": format!("c{i}")}});
        let parent =
            json!({"name": "p", "queueName": "q", "data": 1, "opts": {"jobId": format!("p{i}")}, "children": [child]});
        both.by_node(json!({"op": "flow", "flow": parent, "now": NOW + i})).unwrap();
    }
}

#[test]
fn pages_are_bullmqs_ranges() {
    let both = Both::without_markers();
    crowd(&both);
    both.assert_same();
    for state in JobState::ALL {
        for (from, count) in [(0, 100), (0, 1), (0, 7), (2, 3), (6, 1), (6, 5), (7, 3), (900, 4)] {
            for oldest_first in [true, false] {
                let theirs = their_ids(&both, state, from, count, oldest_first);
                assert_eq!(ids(&both, state, from, count, oldest_first), theirs, "{state} {from} {count}");
            }
        }
        assert_eq!(ids(&both, state, 0, 0, true), Vec::<String>::new());
        assert_eq!(ids(&both, state, 0, u64::MAX, true).len(), 7, "{state}");
        assert_eq!(ids(&both, state, u64::MAX, u64::MAX, false), Vec::<String>::new());
    }
}

#[test]
fn counts_are_bullmqs_counts() {
    let both = Both::without_markers();
    crowd(&both);
    let theirs = both.theirs(json!({"op": "counts"}));
    let ours = both.runtime.block_on(both.queue.overview()).unwrap().counts;
    for state in JobState::ALL {
        assert_eq!(theirs[state.as_str()], ours.of(state), "{state}");
    }
    let priorities = [0, 1, 2, 3, 4, 2_097_151];
    let theirs = both.theirs(json!({"op": "queue", "method": "getCountsPerPriority", "args": [priorities]}));
    let ours = both.runtime.block_on(both.queue.priorities(&priorities)).unwrap();
    for (priority, count) in priorities.iter().zip(ours) {
        assert_eq!(theirs[priority.to_string()], count, "{priority}");
    }
    assert_eq!(both.runtime.block_on(both.queue.priorities(&[])).unwrap(), Vec::<u64>::new());
}

/// BullMQ lists jobs of the legacy list apart; to us they are waiting, and next to run.
#[test]
fn jobs_put_aside_by_an_older_client_are_waiting_before_the_others() {
    let both = Both::start();
    for _ in 0..6 {
        both.add("n", &json!(1), &json!({}), NOW);
    }
    both.both(&[&["LTRIM", "bull:q:wait", "0", "2"], &["RPUSH", "bull:q:paused", "3", "2", "1"]]);
    let page = |from, count, asc| ids(&both, JobState::Waiting, from, count, asc);
    assert_eq!(page(0, 10, true), ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(page(0, 10, false), ["6", "5", "4", "3", "2", "1"]);
    assert_eq!(page(2, 2, true), ["3", "4"]);
    assert_eq!(page(2, 2, false), ["4", "3"]);
    assert_eq!(page(3, 2, true), ["4", "5"]);
    assert_eq!(page(5, 9, false), ["1"]);
    assert_eq!(both.runtime.block_on(both.queue.priorities(&[0])).unwrap(), [6]);
}

#[test]
fn ids_without_a_record_are_passed_over_and_the_page_filled() {
    let both = Both::start();
    for _ in 0..9 {
        both.add("n", &json!(1), &json!({}), NOW);
    }
    both.both(&[&["DEL", "bull:q:2", "bull:q:3", "bull:q:7"], &["RPUSH", "bull:q:wait", "0:99"]]);
    for oldest_first in [true, false] {
        let theirs = their_ids(&both, JobState::Waiting, 0, 4, oldest_first);
        assert_eq!(ids(&both, JobState::Waiting, 0, 4, oldest_first), theirs);
        assert_eq!(theirs.len(), 4);
    }
    assert_eq!(ids(&both, JobState::Waiting, 0, 50, true), ["1", "4", "5", "6", "8", "9"]);
}

/// Also where whole stretches have no record.
#[test]
fn a_large_page_is_read_in_several_calls() {
    let both = Both::ours_alone();
    let script = "for i = 1, 3500 do redis.call('LPUSH', KEYS[1], i)
        if i % 10 == 0 or i <= 1200 then redis.call('DEL', 'bull:q:' .. i)
        else redis.call('HSET', 'bull:q:' .. i, 'name', 'n') end end";
    both.both(&[&["EVAL", script, "1", "bull:q:wait"]]);
    let expected = |from: u32, count: usize| -> Vec<String> {
        let ids = (from + 1..=3500).filter(|i| i % 10 != 0 && *i > 1200).take(count);
        ids.map(|i| i.to_string()).collect()
    };
    for (from, count) in [(0, 1), (0, 900), (0, 1500), (1200, 901), (1199, 3000), (3000, 1000), (3499, 5)] {
        let found = ids(&both, JobState::Waiting, from.into(), count, true);
        assert_eq!(found, expected(from, usize::try_from(count).unwrap()), "{from} {count}");
    }
    // The next page begins behind what this one passed over.
    let page = Page { state: JobState::Waiting, from: 0, count: 10, oldest_first: true };
    let page = both.runtime.block_on(both.queue.page(&page)).unwrap();
    assert_eq!((page.next, page.jobs.last().map(|job| job.id.as_str())), (1211, Some("1211")));
    let mut newest = ids(&both, JobState::Waiting, 0, 5000, false);
    newest.reverse();
    assert_eq!(newest, expected(0, 5000));
}

#[test]
fn a_record_that_cannot_be_read_is_told_apart() {
    let both = Both::ours_alone();
    for _ in 0..5 {
        both.add("n", &json!(1), &json!({}), NOW);
    }
    both.both(&[
        &["HSET", "bull:q:2", "data", "no JSON"],
        &["DEL", "bull:q:3"],
        &["SET", "bull:q:3", "text"],
        &["HDEL", "bull:q:4", "name"],
    ]);
    let page = Page { state: JobState::Waiting, from: 0, count: 10, oldest_first: true };
    let page = both.runtime.block_on(both.queue.page(&page)).unwrap();
    assert_eq!(page.jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["1", "5"]);
    let damaged: Vec<_> = page.damaged.iter().map(|job| (job.id.as_str(), job.why.as_str())).collect();
    assert!(
        matches!(damaged[..], [("2", data), ("3", kind), ("4", name)]
        if data.contains("field data") && kind.contains("WRONGTYPE") && name.contains("name")),
        "{damaged:?}"
    );
}

#[test]
fn logs_by_pages() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({}), NOW);
    for row in ["a", "b", "", "d é"] {
        both.theirs(json!({"op": "fresh", "id": "1", "method": "log", "args": [row]}));
    }
    both.copy();
    for (from, count) in [(0, 100), (0, 1), (1, 2), (3, 9), (4, 1), (0, u64::MAX)] {
        let end = from + count.min(100) - 1;
        let theirs = both.theirs(json!({"op": "queue", "method": "getJobLogs", "args": ["1", from, end, true]}));
        let ours = both.runtime.block_on(both.queue.logs(&id("1"), from, count)).unwrap();
        assert_eq!((&json!(ours.rows), &json!(ours.total)), (&theirs["logs"], &theirs["count"]), "{from} {count}");
    }
    for (job, from, count) in [("1", 0, 0), ("1", u64::MAX, 1), ("nobody", 0, 5)] {
        assert!(both.runtime.block_on(both.queue.logs(&id(job), from, count)).unwrap().rows.is_empty());
    }
}

#[test]
fn metrics_as_bullmq_reads_them() {
    let both = Both::without_markers().with_metrics(5);
    let metrics = |count| both.runtime.block_on(both.queue.metrics(JobState::Completed, count)).unwrap();
    assert_eq!((metrics(9).total, metrics(9).per_minute.len(), metrics(9).written), (0, 0, None));
    for (n, minute) in (1..).zip([0, 0, 1, 1, 1, 3, 9, 10]) {
        both.add("n", &json!(1), &json!({}), NOW);
        both.finish_next(n, JobState::Completed, NOW + 60_000 * minute);
    }
    both.assert_same();
    for count in [1, 3, 5, 60] {
        let args = json!(["completed", 0, count - 1]);
        let theirs = both.theirs(json!({"op": "queue", "method": "getMetrics", "args": args}));
        let ours = metrics(count);
        let data: Vec<u64> = theirs["data"].as_array().unwrap().iter().map(number).collect();
        assert_eq!(ours.per_minute, data, "{theirs}");
        assert_eq!(ours.total, number(&theirs["meta"]["count"]));
        assert_eq!(ours.written.unwrap().as_millis(), i64::try_from(number(&theirs["meta"]["prevTS"])).unwrap());
    }
    assert_eq!(metrics(0).per_minute, Vec::<u64>::new());
    assert_eq!(both.runtime.block_on(both.queue.metrics(JobState::Failed, 5)).unwrap().total, 0);
}

/// BullMQ gives some numbers as text.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn who_holds_what() {
    let both = Both::start();
    let held = |most| both.runtime.block_on(both.queue.held(most)).unwrap();
    assert_eq!(held(10), []);
    for n in 1..=4 {
        both.add("n", &json!(1), &json!({}), NOW);
        both.hold(n, NOW + n);
    }
    both.both(&[
        &["SET", "bull:q:1:lock", "0b9f7a52-6c1e-4e0a-9a51-0c6a1f6f1c11:1234", "PX", "20000"],
        &["DEL", "bull:q:2:lock", "bull:q:3"],
        &["HSET", "bull:q:2", "pb", "ann"],
        &["LPUSH", "bull:q:active", "ghost"],
    ]);
    let all = held(10);
    let ids: Vec<&str> = all.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "ghost"]);
    let token = all[0].token.as_deref().unwrap();
    assert!(token.ends_with("*1234") && token.trim_start_matches('*') == "1234", "{token}");
    assert!(all[0].left.is_some_and(|left| left > Duration::from_secs(5) && left <= Duration::from_secs(20)));
    assert_eq!((all[0].name.as_deref(), all[0].worker.as_deref(), all[0].since), (Some("n"), None, Some(at(NOW + 1))));
    assert_eq!((all[1].token.as_deref(), all[1].left, all[1].worker.as_deref()), (None, None, Some("ann")));
    // Without a record, it may still be locked.
    assert!(all[2].name.is_none() && all[2].since.is_none() && all[2].left.is_some());
    assert!(all[4].name.is_none() && all[4].left.is_none());
    assert_eq!(held(2).len(), 2);
    assert_eq!(held(0), []);
}

#[test]
fn the_newer_protocol_says_the_same() {
    let both = Both::without_markers();
    crowd(&both);
    both.both(&[
        &["HSET", "bull:q:meta", "concurrency", "3", "max", "2", "duration", "5000"],
        &["SET", "bull:q:limiter", "9"],
        &["RPUSH", "bull:q:1:logs", "a", "b"],
        &["HSET", "bull:q:metrics:completed", "count", "9", "prevTS", "5", "prevCount", "1"],
        &["RPUSH", "bull:q:metrics:completed:data", "3", "0", "1"],
    ]);
    let newer = open(&format!("{}?protocol=resp3", both.pair.ours()), "q");
    let told = |queue: &dyn QueueBackend| {
        both.runtime.block_on(async {
            let mut told = vec![
                format!("{:?}", queue.overview().await.unwrap()),
                format!("{:?}", queue.priorities(&[0, 1, 2]).await.unwrap()),
                format!("{:?}", queue.logs(&id("1"), 0, 9).await.unwrap()),
                format!("{:?}", queue.metrics(JobState::Completed, 9).await.unwrap()),
                format!("{:?}", queue.workers().await.unwrap()),
                format!("{:?}", queue.job(&id("1")).await.unwrap()),
            ];
            for job in queue.held(9).await.unwrap() {
                told.push(format!("{:?} {:?} {:?} {:?}", job.id, job.name, job.token, job.since));
            }
            for state in JobState::ALL {
                let page = queue.page(&Page { state, from: 0, count: 9, oldest_first: true }).await.unwrap();
                told.push(format!("{:?} {:?}", page.jobs, page.damaged));
            }
            told
        })
    };
    let (older, newer) = (told(&*both.queue), told(&*newer));
    assert_eq!(older, newer);
    assert!(older[0].contains("concurrency: Some(3)") && older[3].contains("per_minute: [3, 0, 1]"), "{older:?}");
}
