//! Changes of the record alone: progress, data, log.

use super::cases;
use super::world::{World, id, job, json};
use crate::error::Refusal;
use crate::store::change::Change;

cases! {
    progress_is_kept_and_told,
    data_is_replaced_and_the_next_run_sees_it,
    log_rows_are_appended,
    the_newest_rows_are_kept,
    a_log_is_trimmed,
    only_the_holder_where_one_is_named,
    only_of_a_job_that_is_there,
    in_every_state,
}

fn log(rows: &[&str], keep: Option<u64>) -> Change {
    Change::Log { rows: rows.iter().map(ToString::to_string).collect(), keep }
}

fn rows(w: &World, from: u64, count: u64) -> (String, u64) {
    let page = w.runtime.block_on(w.queue.logs(&id("1"), from, count)).unwrap();
    (page.rows.join(" "), page.total)
}

fn progress_is_kept_and_told(w: &World) {
    let id = w.add(job());
    w.told();
    for progress in ["50", r#"{"done":[1]}"#, r#""ü""#, "null"] {
        w.change(&id, Change::Progress(json(progress))).unwrap();
        assert_eq!(w.told(), [format!("progress jobId=1 data={progress}")]);
        assert_eq!(w.record(&id).progress.unwrap().get(), progress);
    }
}

fn data_is_replaced_and_the_next_run_sees_it(w: &World) {
    let id = w.add(job());
    w.change(&id, Change::Data(json(r#"{"new":true}"#))).unwrap();
    assert_eq!(w.record(&id).data.get(), r#"{"new":true}"#);
    assert_eq!(w.one().record.data.get(), r#"{"new":true}"#);
}

fn log_rows_are_appended(w: &World) {
    let id = w.add(job());
    assert_eq!(rows(w, 0, 9), (String::new(), 0));
    assert_eq!(w.change(&id, log(&["a", "b"], None)), Ok(2));
    assert_eq!(w.change(&id, log(&["c"], None)), Ok(3));
    assert_eq!(w.change(&id, log(&[], None)), Ok(3));
    assert_eq!(rows(w, 0, 9), ("a b c".into(), 3));
    assert_eq!(rows(w, 1, 1), ("b".into(), 3));
    assert_eq!(rows(w, 3, 9), (String::new(), 3));
    assert_eq!(rows(w, 0, 0), (String::new(), 3));
}

fn the_newest_rows_are_kept(w: &World) {
    let id = w.add(job());
    assert_eq!(w.change(&id, log(&["a", "b", "c"], Some(2))), Ok(2));
    assert_eq!(w.change(&id, log(&["d"], Some(2))), Ok(2));
    assert_eq!(rows(w, 0, 9), ("c d".into(), 2));
    assert_eq!(w.change(&id, log(&["e"], Some(9))), Ok(3));
    assert_eq!(rows(w, 1, 9), ("d e".into(), 3));
}

fn a_log_is_trimmed(w: &World) {
    let id = w.add(job());
    w.change(&id, log(&["a", "b", "c"], None)).unwrap();
    assert_eq!(w.change(&id, Change::TrimLog { keep: 9 }), Ok(3));
    assert_eq!(w.change(&id, Change::TrimLog { keep: 1 }), Ok(1));
    assert_eq!(rows(w, 0, 9), ("c".into(), 1));
    assert_eq!(w.change(&id, Change::TrimLog { keep: 0 }), Ok(0));
    assert_eq!(rows(w, 0, 9), (String::new(), 0));
    assert_eq!(w.change(&id, log(&["d"], None)), Ok(1));
}

/// One of each kind.
fn all() -> [Change; 4] {
    [Change::Progress(json("1")), Change::Data(json("2")), log(&["a"], None), Change::TrimLog { keep: 1 }]
}

fn only_the_holder_where_one_is_named(w: &World) {
    w.add(job());
    for change in all() {
        assert_eq!(w.change_by(Some("lane:1"), &id("1"), change), Err(Refusal::MissingLock));
    }
    let held = w.one();
    for change in all() {
        assert_eq!(w.change_by(Some("nobody:1"), &held.id, change.clone()), Err(Refusal::LockTaken));
        w.change_by(Some(&held.token), &held.id, change).unwrap();
    }
    w.hands.lapse("1");
    for change in all() {
        assert_eq!(w.change_by(Some(&held.token), &held.id, change), Err(Refusal::MissingLock));
    }
    let record = w.record(&held.id);
    assert_eq!((record.progress.unwrap().get(), record.data.get(), rows(w, 0, 9).1), ("1", "2", 1));
}

fn only_of_a_job_that_is_there(w: &World) {
    for change in all() {
        assert_eq!(w.change(&id("nobody"), change.clone()), Err(Refusal::MissingJob));
        assert_eq!(w.change(&id("1"), change), Err(Refusal::MissingJob));
    }
    assert_eq!(w.shown(), "");
    assert!(w.told().is_empty());
}

fn in_every_state(w: &World) {
    let ids = w.add_all([job(), job(), job(), job().delay(9), job().priority(1)]);
    let held = w.take(2);
    w.accept(held[0].complete());
    let before = w.shown();
    for id in &ids {
        for change in all() {
            w.change(id, change).unwrap();
        }
        assert_eq!(w.record(id).data.get(), "2", "{id}");
    }
    assert_eq!(w.shown(), before);
}
