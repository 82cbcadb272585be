//! Finished jobs made ready again.

use super::edits::{GROUNDS, node, one_in_each_state, reprocess};
use super::steps::End;
use super::*;
use crate::JobState;
use crate::store::change::Change;

const FINAL: [JobState; 2] = [JobState::Completed, JobState::Failed];

#[test]
fn back_to_where_it_runs_from() {
    let both = Both::start();
    for ground in GROUNDS {
        for state in FINAL {
            for opts in [json!({}), json!({"priority": 4}), json!({"lifo": true}), json!({"delay": 3})] {
                both.wipe();
                let job = both.add("n", &json!(1), &opts, NOW);
                both.add("other", &json!(1), &json!({"delay": 90_000}), NOW);
                both.finish_next(1, state, NOW + 5);
                both.add("other", &json!(1), &json!({}), NOW);
                both.both(&[ground, &["DEL", "bull:q:marker"]]);
                both.edit(&job, &reprocess(Some(state)), NOW + 6).unwrap();
                let found = both.pair.differences();
                assert!(found.is_empty(), "{ground:?} {state} {opts}: {found}");
            }
        }
    }
}

#[test]
fn only_a_finished_job_and_only_from_there() {
    let both = Both::start();
    for from in [None, Some(JobState::Completed), Some(JobState::Failed)] {
        both.wipe();
        for (state, job) in one_in_each_state(&both) {
            let fits = from.map_or_else(|| FINAL.contains(&state), |from| from == state);
            let expected = if fits { Ok(()) } else { Err(Refusal::NotInState) };
            assert_eq!(both.edit(&job, &reprocess(from), NOW + 1), expected, "{from:?} {state}");
            both.assert_same();
        }
        assert_eq!(both.edit("nobody", &reprocess(from), NOW), Err(Refusal::MissingJob));
        both.assert_same();
    }
}

#[test]
fn counters_are_reset_where_that_is_asked_for() {
    let both = Both::start();
    for (reset_made, reset_started) in [(false, false), (true, false), (false, true), (true, true)] {
        both.wipe();
        let job = both.add("n", &json!(1), &json!({"attempts": 3}), NOW);
        let held = both.hold(1, NOW);
        both.end(&held, End::Retried { lifo: false }, NOW + 1);
        both.finish_next(2, JobState::Failed, NOW + 2);
        both.both(&[&["DEL", "bull:q:marker"]]);
        both.edit(&job, &Change::Reprocess { from: None, reset_made, reset_started }, NOW + 3).unwrap();
        both.assert_same();
        let record = both.stored(&job);
        assert_eq!(record.attempts_made, if reset_made { 0 } else { 2 });
        assert_eq!(record.attempts_started, if reset_started { 0 } else { 2 });
        assert_eq!((record.failed_reason, record.finished_on, record.processed_on), (None, None, None));
        assert_eq!(both.hold(3, NOW + 4).id, job);
    }
}

#[test]
fn its_parent_waits_for_it_again() {
    let both = Both::without_markers();
    let flags =
        ["failParentOnFailure", "continueParentOnFailure", "ignoreDependencyOnFailure", "removeDependencyOnFailure"];
    for parents_queue in ["q", "other"] {
        for end in FINAL {
            for flag in flags.into_iter().chain(["unflagged"]) {
                both.wipe();
                let children =
                    vec![node("c", "q", &json!({flag: true}), &[]), node("d", "q", &json!({"delay": 900}), &[])];
                both.tree(&node("p", parents_queue, &json!({}), &children));
                let ended = both.hold(1, NOW);
                both.end(&ended, if end == JobState::Failed { End::Failed } else { End::Completed }, NOW + 1);
                both.edit("c", &reprocess(None), NOW + 2).unwrap();
                let found = both.pair.differences();
                assert!(found.is_empty(), "{parents_queue} {end} {flag}: {found}");
            }
        }
    }
}

#[test]
fn a_parent_that_is_gone_or_knows_it_no_more_is_let_be() {
    let both = Both::without_markers();
    let grounds: [&[&str]; 3] =
        [&["DEL", "bull:q:p"], &["HDEL", "bull:q:p:processed", "bull:q:c"], &["ZREM", "bull:q:waiting-children", "p"]];
    for ground in grounds {
        both.wipe();
        both.tree(&node("p", "q", &json!({}), &[node("c", "q", &json!({}), &[])]));
        assert_eq!(both.finish_next(1, JobState::Completed, NOW), "c");
        both.both(&[ground]);
        both.edit("c", &reprocess(None), NOW + 2).unwrap();
        both.assert_same();
    }
}

/// It is in both sets (a damaged queue): the completed one goes first where nobody says which.
#[test]
fn strange_records_are_made_ready_too() {
    let both = Both::ours_alone();
    for (field, value) in [("opts", "no JSON"), ("opts", "[]"), ("priority", "high"), ("parentKey", "nobody")] {
        both.wipe();
        let job = both.add("n", &json!(1), &json!({}), NOW);
        both.finish_next(1, JobState::Failed, NOW);
        both.both(&[&["HSET", "bull:q:1", field, value], &["ZADD", "bull:q:completed", "1", "1"]]);
        both.our_edit(&job, reprocess(None), NOW + 1).unwrap();
        let overview = both.runtime.block_on(both.queue.overview()).unwrap();
        assert_eq!((overview.counts.waiting, overview.counts.completed, overview.counts.failed), (1, 0, 1), "{value}");
    }
}

#[test]
fn a_damaged_parent_is_an_error_before_anything_is_done() {
    let both = Both::ours_alone();
    both.tree(&node("p", "q", &json!({}), &[node("c", "q", &json!({}), &[])]));
    both.finish_next(1, JobState::Completed, NOW);
    both.both(&[&["SET", "bull:q:p:unsuccessful", "text"]]);
    let before = interop::keyspace::dump(&both.pair.ours());
    let change = crate::store::change::ChangeJob { id: id("c"), now: at(NOW), holder: None, change: reprocess(None) };
    assert!(both.runtime.block_on(both.queue.change(&change)).unwrap_err().to_string().contains("wrong type"));
    assert_eq!(before, interop::keyspace::dump(&both.pair.ours()));
}
