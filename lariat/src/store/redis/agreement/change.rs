//! Progress, payload, logs.

use super::*;
use crate::store::change::{Change, ChangeJob};

fn change(both: &Both, holder: Option<&str>, change: Change) -> Result<u64, Option<Refusal>> {
    let change = ChangeJob { id: id("1"), now: at(NOW), holder: holder.map(Into::into), change };
    both.runtime.block_on(both.queue.change(&change)).map(|changed| changed.log_rows).map_err(|e| e.refusal())
}

fn log(rows: &[&str], keep: Option<u64>) -> Change {
    Change::Log { rows: rows.iter().map(|row| (*row).to_owned()).collect(), keep }
}

#[test]
fn progress_and_data() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({}), NOW);
    both.pair.theirs(json!({"op": "job", "queue": "q", "id": "1", "method": "updateProgress", "args": [{"p": 50}]}));
    change(&both, None, Change::Progress(raw(&json!({"p": 50})))).unwrap();
    both.assert_same();
    both.pair.theirs(json!({"op": "job", "queue": "q", "id": "1", "method": "updateData", "args": [[1, 2]]}));
    change(&both, None, Change::Data(raw(&json!([1, 2])))).unwrap();
    both.assert_same();
}

#[test]
fn logs_keep_the_newest() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({"keepLogs": 2}), NOW);
    let theirs =
        |row: &str| both.pair.theirs(json!({"op": "job", "queue": "q", "id": "1", "method": "log", "args": [row]}));
    for (i, row) in ["a", "b", "c"].iter().enumerate() {
        let rows = change(&both, None, log(&[row], Some(2))).unwrap();
        assert_eq!(theirs(row), rows, "{i}");
        both.assert_same();
    }
    assert_eq!(change(&both, None, log(&["d", "e", "f"], None)), Ok(5));
}

#[test]
fn only_the_holder_changes_and_only_what_exists() {
    let both = Both::start();
    assert_eq!(change(&both, None, log(&["x"], None)), Err(Some(Refusal::MissingJob)));
    both.add("n", &json!(1), &json!({}), NOW);
    assert_eq!(change(&both, Some("t:1"), log(&["x"], None)), Err(Some(Refusal::MissingLock)));
    both.fetch(1, NOW);
    assert_eq!(change(&both, Some("t:2"), log(&["x"], None)), Err(Some(Refusal::LockTaken)));
    assert_eq!(change(&both, Some("t:1"), log(&["x"], None)), Ok(1));
    let counts = both.runtime.block_on(both.queue.job(&id("2"))).unwrap();
    assert!(counts.is_none());
}

#[test]
fn states_as_bullmq_sees_them() {
    let both = Both::start();
    for opts in [json!({}), json!({}), json!({"delay": 900}), json!({"priority": 1}), json!({}), json!({})] {
        both.add("n", &json!(1), &opts, NOW);
    }
    both.fetch(1, NOW);
    both.fetch(2, NOW);
    both.theirs(json!({"op": "moveToCompleted", "id": "1", "token": "t:1", "now": NOW}));
    both.ours(vec![complete("1", 1, &json!(null), Keep::ALL)], 0, 0, NOW);
    both.both(&[
        &["LREM", "bull:q:wait", "1", "5"],
        &["RPUSH", "bull:q:paused", "5"],
        &["LREM", "bull:q:wait", "1", "6"],
    ]);
    for job in 1..=6 {
        let theirs = both.theirs(json!({"op": "getState", "id": job.to_string()}));
        let ours = both.runtime.block_on(both.queue.job(&id(&job.to_string()))).unwrap().unwrap().state;
        assert_eq!(theirs, ours.map_or("unknown", crate::JobState::as_str), "{job}");
    }
    let overview = both.runtime.block_on(both.queue.overview()).unwrap();
    assert_eq!(overview.counts.unfinished(), 4);
    assert!(!overview.paused);
}

#[test]
fn logs_of_a_job_that_keeps_some_or_none() {
    let both = Both::start();
    for keep in [0, 1, 3] {
        both.wipe();
        both.add("n", &json!(1), &json!({"keepLogs": keep}), NOW);
        for row in ["a", "", "c", "é"] {
            let theirs =
                both.pair.theirs(json!({"op": "job", "queue": "q", "id": "1", "method": "log", "args": [row]}));
            let ours = change(&both, None, log(&[row], both.stored("1").options.keep_logs)).unwrap();
            if keep > 0 {
                assert_eq!(theirs, ours, "{keep}");
                both.assert_same();
            } else {
                // BullMQ takes 0 for unset, and keeps all.
                assert_eq!(ours, 0);
                both.assert_same_but(&["bull:q:1:logs"]);
            }
        }
    }
}

#[test]
fn what_is_not_there_is_not_changed() {
    let both = Both::start();
    let theirs = |method: &str| {
        let step = json!({"op": "backend", "method": method, "args": ["nobody", "1"]});
        both.their_refusal(step)
    };
    assert_eq!(theirs("addLog"), Refusal::MissingJob.code());
    for change_ in [Change::Progress(raw(&json!(1))), Change::Data(raw(&json!(1))), log(&["x"], None)] {
        assert_eq!(change(&both, None, change_), Err(Some(Refusal::MissingJob)));
    }
    both.assert_same();
}

#[test]
fn progress_of_every_kind() {
    let both = Both::start();
    both.add("n", &json!(1), &json!({}), NOW);
    for progress in [json!(0), json!(12.5), json!(null), json!("half"), json!({"of": [1, {}]}), json!(true)] {
        both.pair.theirs(json!({"op": "job", "queue": "q", "id": "1", "method": "updateProgress", "args": [progress]}));
        change(&both, None, Change::Progress(raw(&progress))).unwrap();
        both.assert_same();
    }
}

#[test]
fn a_log_is_trimmed_to_the_newest() {
    let both = Both::start();
    for keep in [0, 1, 2, 3, 9] {
        both.wipe();
        both.add("n", &json!(1), &json!({}), NOW);
        both.edit("1", &Change::TrimLog { keep }, NOW).unwrap();
        both.assert_same();
        for row in ["a", "b", "c"] {
            both.edit("1", &log(&[row], None), NOW).unwrap();
        }
        both.edit("1", &Change::TrimLog { keep }, NOW).unwrap();
        let found = both.pair.differences();
        assert!(found.is_empty(), "{keep}: {found}");
        assert_eq!(change(&both, None, Change::TrimLog { keep }), Ok(keep.min(3)));
    }
    // BullMQ does not look whether there is such a job.
    assert_eq!(both.our_edit("nobody", Change::TrimLog { keep: 1 }, NOW), Err(Refusal::MissingJob));
}
