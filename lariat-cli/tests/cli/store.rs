//! A store that is away, wrong, or lost.

use interop::wait;
use rustix::process::Signal;
use serde_json::json;

use crate::kit::{Place, Worker, lariat, on_both_stores, run, runs, wait_until_gone};

on_both_stores! {
    what_cannot_work_ends_at_the_start,
    a_store_that_is_away_at_the_start_is_waited_for,
    a_store_that_is_away_does_not_keep_a_worker_from_stopping,
    a_store_that_is_lost_is_said_once_and_work_goes_on,
    a_command_whose_lock_runs_out_is_ended_without_the_store,
    a_lock_that_another_holds_sends_no_result,
}

fn what_cannot_work_ends_at_the_start(place: &Place) {
    for (args, words) in [
        (&["work", "q", "--", "no-such-program"][..], &["CMD", "no-such-program"][..]),
        (&["work", "q"], &["CMD"]),
        (&["work", "--", "true"], &["QUEUE"]),
        (&["work", "a:b", "--", "true"], &["queue name", "a:b"]),
        (&["work", "q", "-c", "0", "--", "true"], &["concurrency", "0"]),
        (&["work", "q", "--lock-duration", "999ms", "--", "true"], &["--lock-duration", "999ms", "at least 1s"]),
        (&["work", "q", "--lock-renew", "28s", "--", "true"], &["--lock-renew", "28s", "27s"]),
        (&["work", "q", "--name", "a\nb", "--", "true"], &["worker name", "control"]),
        (&["work", "q", "--timeout", "0s", "--", "true"], &["--timeout", "at least 1ms"]),
        (&["work", "q", "--log-format", "xml", "--", "true"], &["--log-format", "xml"]),
        (&["work", "q", "--store", "redis+cluster://h:1", "--", "true"], &["Cluster"]),
    ] {
        place.run(args).failed_with(2, words);
    }
}

/// On Redis only: a file has no password.
#[test]
fn a_wrong_password_ends_the_worker_at_the_start() {
    let place = Place::on_redis();
    place.redis::<()>(&["CONFIG", "SET", "requirepass", "right"]);
    let mut wrong = lariat();
    wrong.args(["work", "q", "--store", &format!("redis://:wrong@127.0.0.1:{}", place.server().port()), "--", "true"]);
    run(wrong, "").failed_with(4, &[]);
}

/// On Redis only: users and their rights. Those of a file: `lariat/tests/crash/faults`.
#[test]
fn a_user_that_may_not_do_what_a_worker_does_ends_the_worker() {
    let place = Place::on_redis();
    place.add(&["n"]);
    for (user, rights, words) in [
        ("bullmq", &["~bull:*", "&*", "+@all"][..], "~lariat:bull:*"),
        ("noscripts", &["~*", "&*", "+@all", "-@scripting"][..], "+@scripting"),
    ] {
        place.redis::<()>(&[&["ACL", "SETUSER", user, "on", ">pw"], rights].concat());
        let mut worker = lariat();
        worker.args(["work", "q", "--exit-when-drained", "--store"]);
        worker.args([&format!("redis://{user}:pw@127.0.0.1:{}", place.server().port()), "--", "true"]);
        run(worker, "").failed_with(4, &["may not", words]);
    }
    assert_eq!(place.job("1")["attemptsStarted"], 0);
}

fn a_store_that_is_away_at_the_start_is_waited_for(place: &mut Place) {
    place.go_away();
    let mut worker = place.work(&[], "exit 0");
    worker.wait_until_said("fails or does not answer");
    place.come_back();
    worker.wait_until_said("answers again");
    let id = place.add(&["n"]);
    place.wait_for_state(&id, "completed");
    worker.signal(Signal::TERM);
    worker.ends_with(0);
    assert_eq!(worker.said().matches("fails or does not answer").count(), 1, "{}", worker.said());
}

fn a_store_that_is_away_does_not_keep_a_worker_from_stopping(place: &mut Place) {
    place.go_away();
    let mut worker = place.work(&["--lock-duration", "1s", "--grace", "1ms"], "exit 0");
    worker.wait_until_said("fails or does not answer");
    worker.signal(Signal::TERM);
    worker.ends_with(0);
}

fn a_store_that_is_lost_is_said_once_and_work_goes_on(place: &Place) {
    let id = place.add(&["n"]);
    let mut worker = place.work(&[], "touch ready; until [ -e go ]; do sleep 0.01; done; echo result");
    wait::until("the command runs", || place.path("ready").exists());
    place.freeze();
    place.touch("go");
    worker.wait_until_said("fails or does not answer");
    place.thaw();
    worker.wait_until_said("answers again");
    let job = place.wait_for_state(&id, "completed");
    assert_eq!((&job["returnvalue"], &job["attemptsStarted"]), (&json!("result"), &json!(1)));
    worker.signal(Signal::TERM);
    worker.ends_with(0);
    assert_eq!(worker.said().matches("fails or does not answer").count(), 1, "{}", worker.said());
}

fn a_command_whose_lock_runs_out_is_ended_without_the_store(place: &Place) {
    let id = place.add(&["n"]);
    let worker = place.work(
        &["--lock-duration", "1s", "--stalled-interval", "200ms"],
        "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done",
    );
    let pid = place.wait_for_line("pid");
    place.freeze();
    wait_until_gone(&pid);
    worker.wait_until_said("lock was lost");
    place.thaw();
    let starts = || place.job(&id)["attemptsStarted"].as_u64().unwrap();
    wait::until("the job runs again", || starts() > 1);
    assert_eq!(place.job(&id)["attemptsMade"], 0);
}

fn a_lock_that_another_holds_sends_no_result(place: &Place) {
    let id = place.add(&["n"]);
    let worker: Worker = place.work(&["--lock-duration", "1s"], "echo $$ >> pids; exec sleep 600");
    let pid = place.wait_for_line("pids");
    place.give_lock(&id, "another");
    wait_until_gone(&pid);
    worker.wait_until_said("lock was lost");
    let job = place.job(&id);
    assert_eq!((&job["state"], &job["attemptsMade"]), (&json!("active"), &json!(0)), "{job}");
    assert!(!runs(&pid));
}
