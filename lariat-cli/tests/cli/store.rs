//! A store that is away, wrong, or lost.

use interop::wait;
use rustix::process::Signal;
use serde_json::json;

use crate::kit::{Place, Worker, lariat, run, runs, wait_until_gone};

#[test]
fn what_cannot_work_ends_at_the_start() {
    let place = Place::new();
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
    place.redis::<()>(&["CONFIG", "SET", "requirepass", "right"]);
    let mut wrong = lariat();
    wrong.args(["work", "q", "--store", &format!("redis://:wrong@127.0.0.1:{}", place.server.port()), "--", "true"]);
    run(wrong, "").failed_with(4, &[]);
}

#[test]
fn a_user_that_may_not_do_what_a_worker_does_ends_the_worker() {
    let place = Place::new();
    place.add(&["n"]);
    for (user, rights, words) in [
        ("bullmq", &["~bull:*", "&*", "+@all"][..], "~lariat:bull:*"),
        ("noscripts", &["~*", "&*", "+@all", "-@scripting"][..], "+@scripting"),
    ] {
        place.redis::<()>(&[&["ACL", "SETUSER", user, "on", ">pw"], rights].concat());
        let mut worker = lariat();
        worker.args(["work", "q", "--exit-when-drained", "--store"]);
        worker.args([&format!("redis://{user}:pw@127.0.0.1:{}", place.server.port()), "--", "true"]);
        run(worker, "").failed_with(4, &["may not", words]);
    }
    assert_eq!(place.job("1")["attemptsStarted"], 0);
}

#[test]
fn a_store_that_is_away_at_the_start_is_waited_for() {
    let mut place = Place::new();
    place.server.kill();
    let mut worker = place.work(&[], "exit 0");
    worker.wait_until_said("fails or does not answer");
    place.server.restart();
    worker.wait_until_said("answers again");
    let id = place.add(&["n"]);
    place.wait_for_state(&id, "completed");
    worker.signal(Signal::TERM);
    worker.ends_with(0);
    assert_eq!(worker.said().matches("fails or does not answer").count(), 1, "{}", worker.said());
}

#[test]
fn a_store_that_is_away_does_not_keep_a_worker_from_stopping() {
    let mut place = Place::new();
    place.server.kill();
    let mut worker = place.work(&["--lock-duration", "1s", "--grace", "1ms"], "exit 0");
    worker.wait_until_said("fails or does not answer");
    worker.signal(Signal::TERM);
    worker.ends_with(0);
}

/// A server that keeps what it has, so that the worker finds its job again.
fn lasting() -> Place {
    let place = Place::new();
    place.redis::<()>(&["CONFIG", "SET", "appendonly", "yes"]);
    place.redis::<()>(&["CONFIG", "SET", "appendfsync", "always"]);
    wait::until("everything so far is in the file", || {
        place.redis::<String>(&["INFO", "persistence"]).contains("aof_rewrite_in_progress:0")
    });
    place
}

#[test]
fn a_store_that_is_lost_is_said_once_and_work_goes_on() {
    let place = lasting();
    let id = place.add(&["n"]);
    let mut worker = place.work(&[], "touch ready; until [ -e go ]; do sleep 0.01; done; echo result");
    wait::until("the command runs", || place.path("ready").exists());
    place.server.freeze();
    place.touch("go");
    worker.wait_until_said("fails or does not answer");
    place.server.thaw();
    worker.wait_until_said("answers again");
    let job = place.wait_for_state(&id, "completed");
    assert_eq!((&job["returnvalue"], &job["attemptsStarted"]), (&json!("result"), &json!(1)));
    worker.signal(Signal::TERM);
    worker.ends_with(0);
    assert_eq!(worker.said().matches("fails or does not answer").count(), 1, "{}", worker.said());
}

#[test]
fn a_command_whose_lock_runs_out_is_ended_without_the_store() {
    let place = Place::new();
    let id = place.add(&["n"]);
    let worker = place.work(
        &["--lock-duration", "1s", "--stalled-interval", "200ms"],
        "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done",
    );
    let pid = place.wait_for_line("pid");
    place.server.freeze();
    wait_until_gone(&pid);
    worker.wait_until_said("lock was lost");
    place.server.thaw();
    let starts = || place.job(&id)["attemptsStarted"].as_u64().unwrap();
    wait::until("the job runs again", || starts() > 1);
    assert_eq!(place.job(&id)["attemptsMade"], 0);
}

#[test]
fn a_lock_that_another_holds_sends_no_result() {
    let place = Place::new();
    let id = place.add(&["n"]);
    let worker: Worker = place.work(&["--lock-duration", "1s"], "echo $$ >> pids; exec sleep 600");
    let pid = place.wait_for_line("pids");
    place.redis::<()>(&["SET", &format!("bull:q:{id}:lock"), "another"]);
    wait_until_gone(&pid);
    worker.wait_until_said("lock was lost");
    let job = place.job(&id);
    assert_eq!((&job["state"], &job["attemptsMade"]), (&json!("active"), &json!(0)), "{job}");
    assert!(!runs(&pid));
}
