//! Signals, and what becomes of commands and jobs when a worker ends.

use interop::wait;
use rustix::process::Signal;
use serde_json::json;

use crate::kit::{Place, children, on_both_stores, runs, wait_until_gone};

on_both_stores! {
    a_graceful_stop_lets_commands_end,
    an_idle_worker_stops_at_once,
    at_the_graces_end_jobs_are_handed_back_unspent_and_in_order,
    commands_are_gone_before_their_jobs_are_handed_back,
    a_second_signal_ends_the_grace,
    a_third_signal_exits_at_once,
    commands_end_with_a_worker_that_is_killed,
    so_does_what_left_their_groups,
    the_jobs_of_a_worker_that_is_killed_run_elsewhere,
    the_helper_may_be_killed_too,
    a_helper_leaves_with_its_worker,
    quiet_takes_no_new_jobs_until_it_goes_on,
    usr1_says_what_runs,
}

/// Says its process id and goes on for ever.
const ENDLESS: &str = "echo $$ >> pids; exec sleep 600";

fn a_graceful_stop_lets_commands_end(place: &Place) {
    let (first, second) = (place.add(&["n"]), place.add(&["n"]));
    let mut worker = place.work(&[], "touch ready; until [ -e go ]; do sleep 0.01; done");
    wait::until("the command runs", || place.path("ready").exists());
    worker.signal(Signal::TERM);
    worker.wait_until_said("stopping");
    place.touch("go");
    worker.ends_with(0);
    assert_eq!(place.job(&first)["state"], "completed");
    assert_eq!(place.job(&second)["state"], "waiting", "no new job after the signal");
}

fn an_idle_worker_stops_at_once(place: &Place) {
    let mut worker = place.work(&[], "exit 0");
    worker.wait_until_said("working");
    worker.signal(Signal::INT);
    worker.ends_with(0);
}

fn at_the_graces_end_jobs_are_handed_back_unspent_and_in_order(place: &Place) {
    let ids: Vec<_> = (0..5).map(|_| place.add(&["n", "--attempts", "2"])).collect();
    let mut worker = place.work(&["-c", "3", "--grace", "100ms"], ENDLESS);
    place.wait_for_lines("pids", 3);
    worker.signal(Signal::TERM);
    worker.ends_with(5);
    assert!(worker.said().contains("handed back"), "{}", worker.said());
    for id in &ids[..3] {
        let job = place.job(id);
        assert_eq!((&job["state"], &job["attemptsMade"]), (&json!("waiting"), &json!(0)), "{job}");
        assert_eq!((&job["stalledCounter"], &job["attemptsStarted"]), (&json!(0), &json!(1)));
    }
    assert_eq!(place.waiting(), ids);
    assert!(place.lines("pids").iter().all(|pid| !runs(pid)));
    assert_eq!(place.lock_of("1"), None);
}

fn commands_are_gone_before_their_jobs_are_handed_back(place: &Place) {
    let id = place.add(&["n"]);
    // Deaf to TERM: it takes a KILL, two seconds later.
    let mut worker = place.work(&["--grace", "1ms"], "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done");
    let pid = place.wait_for_line("pid");
    worker.signal(Signal::TERM);
    wait::until("the job is handed back", || {
        let handed_back = place.waiting().len() == 1;
        assert!(!(handed_back && runs(&pid)), "handed back while its command runs");
        handed_back
    });
    worker.ends_with(5);
    assert_eq!(place.job(&id)["attemptsMade"], 0);
}

fn a_second_signal_ends_the_grace(place: &Place) {
    let id = place.add(&["n"]);
    let mut worker = place.work(&["--grace", "1h"], ENDLESS);
    let pid = place.wait_for_line("pids");
    worker.signal(Signal::TERM);
    worker.wait_until_said("stopping");
    assert!(runs(&pid));
    worker.signal(Signal::TERM);
    worker.ends_with(5);
    assert!(!runs(&pid));
    assert_eq!(place.job(&id)["state"], "waiting");
}

fn a_third_signal_exits_at_once(place: &Place) {
    place.add(&["n"]);
    let mut worker = place.work(&["--grace", "1h"], "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done");
    let pid = place.wait_for_line("pid");
    worker.signal(Signal::INT);
    worker.wait_until_said("stopping");
    worker.signal(Signal::INT);
    worker.wait_until_said("ending the commands now");
    worker.signal(Signal::INT);
    worker.ends_with(130);
    wait_until_gone(&pid);
}

fn commands_end_with_a_worker_that_is_killed(place: &Place) {
    for _ in 0..3 {
        place.add(&["n"]);
    }
    let mut worker =
        place.work(&["-c", "3"], "trap '' TERM INT HUP; echo $$ >> pids; sh -c 'echo $$ >> pids; sleep 600'; :");
    place.wait_for_lines("pids", 6);
    worker.signal(Signal::KILL);
    worker.wait();
    for pid in place.lines("pids") {
        wait_until_gone(&pid);
    }
}

fn so_does_what_left_their_groups(place: &Place) {
    place.add(&["n"]);
    let mut worker = place.work(&[], "timeout 600 sh -c 'echo $$ >> pids; sleep 600'; :");
    let pid = place.wait_for_line("pids");
    worker.signal(Signal::KILL);
    worker.wait();
    wait_until_gone(&pid);
}

fn the_jobs_of_a_worker_that_is_killed_run_elsewhere(place: &Place) {
    let ids: Vec<_> = (0..5).map(|_| place.add(&["n"])).collect();
    let options = ["-c", "5", "--lock-duration", "1s", "--stalled-interval", "200ms"];
    let mut worker = place.work(&options, ENDLESS);
    place.wait_for_lines("pids", 5);
    worker.signal(Signal::KILL);
    worker.wait();
    let _other = place.work(&options, "exit 0");
    for id in ids {
        let job = place.wait_for_state(&id, "completed");
        assert_eq!((&job["attemptsMade"], &job["stalledCounter"]), (&json!(1), &json!(1)), "{job}");
    }
}

/// The helper must be replaced when it is killed, and know what runs.
fn the_helper_may_be_killed_too(place: &Place) {
    place.add(&["n"]);
    let mut worker = place.work(&[], ENDLESS);
    let pid = place.wait_for_line("pids");
    let helpers = || children(&worker.pid().as_raw_nonzero().to_string(), "__reaper");
    let helper = wait::find("the helper runs", || helpers().pop());
    let number = rustix::process::Pid::from_raw(helper.parse().unwrap()).unwrap();
    rustix::process::kill_process(number, Signal::TERM).unwrap();
    rustix::process::kill_process(number, Signal::KILL).unwrap();
    wait::until("another helper runs", || helpers().iter().any(|other| *other != helper));
    worker.wait_until_said("helper");
    assert!(runs(&pid), "the end of a helper is no reason to end commands");
    worker.signal(Signal::KILL);
    worker.wait();
    wait_until_gone(&pid);
}

fn a_helper_leaves_with_its_worker(place: &Place) {
    let mut worker = place.work(&[], "exit 0");
    let helper =
        wait::find("the helper runs", || children(&worker.pid().as_raw_nonzero().to_string(), "__reaper").pop());
    worker.wait_until_said("working");
    worker.signal(Signal::TERM);
    worker.ends_with(0);
    wait_until_gone(&helper);
}

fn quiet_takes_no_new_jobs_until_it_goes_on(place: &Place) {
    let first = place.add(&["n"]);
    let mut worker = place.work(&[], "exit 0");
    place.wait_for_state(&first, "completed");
    worker.signal(Signal::TSTP);
    worker.wait_until_said("quiet");
    let second = place.add(&["n"]);
    worker.signal(Signal::USR1);
    worker.wait_until_said("quiet=true");
    assert_eq!(place.job(&second)["state"], "waiting");
    worker.signal(Signal::CONT);
    place.wait_for_state(&second, "completed");
    worker.signal(Signal::TERM);
    worker.ends_with(0);
}

fn usr1_says_what_runs(place: &Place) {
    place.add(&["resize", "--id", "image-1"]);
    let worker = place.work(&[], ENDLESS);
    place.wait_for_line("pids");
    worker.signal(Signal::USR1);
    worker.wait_until_said("trust_left");
    let said = worker.said();
    let line = said.lines().find(|line| line.contains("trust_left")).unwrap();
    for part in ["job=\"image-1\"", "name=\"resize\"", "attempt=1", "running=", "lock_age=", "queue=\"q\""] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}
