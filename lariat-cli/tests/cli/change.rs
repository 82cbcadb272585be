//! Changes to one job: retry, promote, rm.

use serde_json::{Value, json};

use crate::kit::{Place, on_both_stores};

on_both_stores! {
    failed_and_completed_jobs_run_again,
    a_retry_of_a_job_that_has_not_ended_is_refused,
    a_delayed_job_runs_now,
    a_job_is_deleted,
    children_go_along_unless_they_are_to_stay,
    a_locked_job_and_the_parent_of_one_are_refused,
    bad_input_and_what_is_not_there,
}

/// Ended jobs of queue `q`: one completed, one failed.
fn ended(place: &Place) -> (String, String) {
    let (good, bad) = (place.add(&["good"]), place.add(&["bad"]));
    place.work_off("case $LARIAT_JOB_NAME in good) echo 1;; *) echo oops >&2; exit 65;; esac");
    (good, bad)
}

fn failed_and_completed_jobs_run_again(place: &Place) {
    let (good, bad) = ended(place);
    assert_eq!(place.run(&["job", "retry", "q", &bad]).done(), "");
    assert_eq!(place.run(&["job", "retry", "q", &good, "--json"]).done(), format!("{{\"id\":\"{good}\"}}\n"));
    for id in [&good, &bad] {
        let job = place.job(id);
        assert_eq!(
            (&job["state"], &job["failedReason"], &job["returnvalue"]),
            (&json!("waiting"), &Value::Null, &Value::Null)
        );
    }
    place.work_off("echo again");
    assert_eq!(place.job(&bad)["returnvalue"], "again");
}

fn a_retry_of_a_job_that_has_not_ended_is_refused(place: &Place) {
    let (waiting, delayed) = (place.add(&["n"]), place.add(&["n", "--delay", "1h"]));
    let before = [place.job(&waiting), place.job(&delayed)];
    place.run(&["job", "retry", "q", &waiting]).failed_with(1, &["\"1\"", "is waiting, not failed or completed"]);
    place.run(&["job", "retry", "q", &delayed, "--json"]).failed_with(1, &["is delayed, not failed or completed"]);
    assert_eq!([place.job(&waiting), place.job(&delayed)], before);
}

fn a_delayed_job_runs_now(place: &Place) {
    let ids = [place.add(&["n", "--delay", "1h"]), place.add(&["n", "--delay", "1h", "--priority", "3"])];
    assert_eq!(place.run(&["job", "promote", "q", &ids[0]]).done(), "");
    assert_eq!(place.run(&["job", "promote", "q", &ids[1], "--json"]).done(), "{\"id\":\"2\"}\n");
    assert_eq!(place.job(&ids[0])["state"], "waiting");
    assert_eq!(place.job(&ids[1])["state"], "prioritized");
    place.run(&["job", "promote", "q", &ids[0]]).failed_with(1, &["\"1\"", "is waiting, not delayed"]);
    assert_eq!(place.job(&ids[0])["state"], "waiting");
}

fn a_job_is_deleted(place: &Place) {
    let (good, bad) = ended(place);
    assert_eq!(place.run(&["job", "rm", "q", &good]).done(), "");
    assert_eq!(place.run(&["job", "rm", "q", &bad, "--json"]).done(), format!("{{\"id\":\"{bad}\"}}\n"));
    for id in [&good, &bad] {
        place.run(&["job", "get", "q", id]).failed_with(3, &[]);
        place.run(&["job", "rm", "q", id]).failed_with(3, &["has no job"]);
    }
    assert!(place.has_no_jobs());
}

/// A parent that waits for one child, as BullMQ's flows leave them.
fn family(place: &Place) -> (String, String) {
    let (parent, child) = (place.add(&["parent", "--id", "parent"]), place.add(&["child", "--id", "child"]));
    place.adopt(&parent, &child);
    (parent, child)
}

fn children_go_along_unless_they_are_to_stay(place: &Place) {
    let (parent, child) = family(place);
    assert_eq!(place.run(&["job", "rm", "q", &parent, "--keep-children"]).done(), "");
    assert_eq!(place.job(&child)["state"], "waiting");
    place.run(&["job", "get", "q", &parent]).failed_with(3, &[]);

    let place = &place.another();
    let (parent, child) = family(place);
    assert_eq!(place.run(&["job", "rm", "q", &parent]).done(), "");
    for id in [&parent, &child] {
        place.run(&["job", "get", "q", id]).failed_with(3, &[]);
    }
}

fn a_locked_job_and_the_parent_of_one_are_refused(place: &Place) {
    let (parent, child) = family(place);
    let worker = place.work(&["--name", "w1"], "touch ready; exec sleep 600");
    interop::wait::until("the child runs", || place.path("ready").exists());
    place.run(&["job", "rm", "q", &child]).failed_with(1, &["\"child\"", "is locked", "nothing was changed"]);
    place.run(&["job", "rm", "q", &child, "--keep-children"]).failed_with(1, &["is locked: a worker holds it;"]);
    place.run(&["job", "rm", "q", &parent]).failed_with(1, &["\"parent\"", "one of the jobs below it"]);
    assert_eq!(place.job(&child)["state"], "active");
    assert_eq!(place.job(&parent)["state"], "waiting-children");
    place.run(&["job", "retry", "q", &child]).failed_with(1, &["is active, not failed or completed"]);
    drop(worker);
}

/// On Redis only: a file that is busy has not been written.
#[test]
fn a_change_without_an_answer_is_in_doubt() {
    let place = Place::on_redis();
    let id = place.add(&["n", "--delay", "1h"]);
    place.redis::<()>(&["CLIENT", "PAUSE", "600000", "WRITE"]);
    place.run(&["job", "promote", "q", &id]).failed_with(4, &["\"1\"", "may or may not have been done"]);
}

/// On Redis only: nobody has left a scheduler in a file yet.
#[test]
fn the_next_run_of_a_scheduler_is_refused() {
    let place = Place::on_redis();
    let id = "repeat:every:1700000000000";
    place.redis::<()>(&["HSET", &format!("bull:q:{id}"), "name", "n", "data", "{}", "opts", "{}", "rjk", "every"]);
    place.redis::<()>(&["ZADD", "bull:q:repeat", "1700000000000", "every"]);
    place.redis::<()>(&["LPUSH", "bull:q:wait", id]);
    place.run(&["job", "rm", "q", id]).failed_with(1, &[id, "job scheduler"]);
    assert_eq!(place.job(id)["state"], "waiting");
}

fn bad_input_and_what_is_not_there(place: &mut Place) {
    for verb in ["retry", "promote", "rm"] {
        for (args, words) in [
            (&["job", verb][..], &["QUEUE"][..]),
            (&["job", verb, "q"], &["ID"]),
            (&["job", verb, "q", ""], &["job id", "must not be empty"]),
            (&["job", verb, "a:b", "1"], &["queue name", "a:b"]),
            (&["job", verb, "q", "1", "2"], &["'2'"]),
        ] {
            place.run(args).failed_with(2, words);
        }
        place.run(&["job", verb, "q", "17"]).failed_with(3, &["queue \"q\" has no job \"17\""]);
        place.run(&["job", verb, "q", "a\u{1b}[31m\nb"]).failed_with(3, &["\\u{1b}[31m\\nb"]);
    }
    assert!(place.is_untouched());
    place.go_away();
    for verb in ["retry", "promote", "rm"] {
        place.run(&["job", verb, "q", "1"]).failed_with(4, &[place.called()]);
    }
}
