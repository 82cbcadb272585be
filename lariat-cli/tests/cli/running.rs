//! What a command finds, and what is seen of it while it runs.

use interop::wait;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::kit::{Place, on_both_stores, runs, wait_until_gone};

on_both_stores! {
    stdin_is_the_data_and_need_not_be_read,
    the_environment_tells_the_job,
    the_token_is_that_of_the_lock,
    stderr_goes_to_the_log_while_it_runs,
    the_log_is_bounded,
    a_timeout_is_a_failed_attempt_and_ends_the_whole_group,
    a_command_that_obeys_term_may_tidy_up,
    what_a_command_leaves_running_ends_with_it,
    one_that_left_the_group_and_holds_the_pipes_does_not_hold_the_job,
    concurrency_is_for_each_queue,
    drained_means_nothing_delayed_either_and_failed_ones_do_not_count,
    a_paused_queue_counts_as_drained_and_says_so,
    the_workers_name_is_recorded,
    log_lines_can_be_json_and_one_a_second_for_each_cause,
    all_of_the_group_may_tidy_up,
    what_left_the_group_is_ended_too,
    a_job_of_a_scheduler_is_handed_back_and_the_worker_says_why_it_stops,
}

fn stdin_is_the_data_and_need_not_be_read(place: &Place) {
    let data = format!("{{\"b\": 1.0, \"a\": \"{}\"}}", "x".repeat(300_000));
    // Longer than an argument can be.
    let line = format!("{{\"name\":\"n\",\"data\":{data}}}\n");
    let add = || crate::kit::run(place.lariat(&["add", "q", "--stdin"]), &line).done().trim_end().to_owned();
    let id = add();
    place.work_off("cat");
    assert_eq!(place.result(&id), data);
    let id = add();
    place.work_off("exec <&-; echo deaf");
    assert_eq!(place.job(&id)["returnvalue"], "deaf");
}

fn the_environment_tells_the_job(place: &Place) {
    let line = r#"{"name":"shout","opts":{"jobId":"x","telemetry":{"metadata":"{\"traceparent\":\"00-ab-cd-01\"}"}}}"#;
    crate::kit::run(place.lariat(&["add", "q", "--stdin", "--prefix", "p"]), line).done();
    let script = "env | grep ^LARIAT_ | grep -v TOKEN | sort; [ -n \"$LARIAT_TOKEN\" ]";
    let mut worker = place.work(&["--exit-when-drained", "--prefix", "p"], script);
    worker.ends_with(0);
    let job = place.run(&["job", "get", "q", "x", "--json", "--prefix", "p"]).done();
    let job: Value = serde_json::from_str(&job).unwrap();
    let expected = [
        "LARIAT_ATTEMPT=1",
        "LARIAT_JOB_ID=x",
        "LARIAT_JOB_NAME=shout",
        "LARIAT_PREFIX=p",
        "LARIAT_QUEUE=q",
        "LARIAT_STARTS=1",
        &format!("LARIAT_STORE={}", place.url()),
        "LARIAT_TRACEPARENT=00-ab-cd-01",
    ];
    assert_eq!(job["returnvalue"].as_str().unwrap().lines().collect::<Vec<_>>(), expected);
}

fn the_token_is_that_of_the_lock(place: &Place) {
    let id = place.add(&["n"]);
    let _worker = place.work(&[], "echo $LARIAT_TOKEN > token; exec sleep 600");
    let token = place.wait_for_line("token");
    assert_eq!(place.lock_of(&id), Some(token));
}

fn stderr_goes_to_the_log_while_it_runs(place: &Place) {
    let id = place.add(&["n"]);
    let _worker =
        place.work(&[], "echo one >&2; printf 'two\\nthr' >&2; until [ -e go ]; do sleep 0.01; done; echo ee >&2");
    let log = || place.log(&id);
    wait::until("the first two lines are stored", || log() == ["one", "two"]);
    assert_eq!(place.job(&id)["state"], "active");
    place.touch("go");
    place.wait_for_state(&id, "completed");
    assert_eq!(log(), ["one", "two", "three"]);
}

fn the_log_is_bounded(place: &Place) {
    let id = place.add(&["n"]);
    place.work_off("head -c 9000 /dev/zero | tr '\\0' x >&2; echo >&2; seq 1 5000 >&2");
    let log = place.log(&id);
    assert_eq!((log.len(), log[0].len(), log[1].as_str(), log[999].as_str()), (1000, 4096, "1", "999"));
    assert_eq!(place.job(&id)["state"], "completed");
}

fn a_timeout_is_a_failed_attempt_and_ends_the_whole_group(place: &Place) {
    let id = place.add(&["n", "--attempts", "2"]);
    // The shell obeys TERM, its child does not.
    let script = "(trap '' TERM; sh -c 'echo $$ >> pids; while :; do sleep 1; done') & wait";
    let mut worker = place.work(&["--timeout", "1s", "--exit-when-drained"], script);
    worker.ends_with(0);
    let job = place.job(&id);
    assert_eq!((&job["state"], &job["attemptsMade"]), (&json!("failed"), &json!(2)));
    assert!(job["failedReason"].as_str().unwrap().contains("timed out after 1s"), "{job}");
    let pids = place.lines("pids");
    assert!(pids.iter().all(|pid| !runs(pid)), "{pids:?}");
}

fn a_command_that_obeys_term_may_tidy_up(place: &Place) {
    let id = place.add(&["n"]);
    let script = "trap 'echo tidy > tidied; exit 0' TERM; touch ready; while :; do sleep 0.05; done";
    let mut worker = place.work(&["--grace", "1ms"], script);
    wait::until("the command runs", || place.path("ready").exists());
    worker.signal(Signal::TERM);
    worker.ends_with(5);
    assert_eq!(place.lines("tidied"), ["tidy"]);
    assert_eq!(place.job(&id)["state"], "waiting", "an exit status of 0 after our TERM does not complete");
}

fn what_a_command_leaves_running_ends_with_it(place: &Place) {
    let id = place.add(&["n"]);
    place.work_off("sleep 600 & echo $! > pid; echo done");
    assert_eq!(place.job(&id)["returnvalue"], "done");
    wait_until_gone(&place.wait_for_line("pid"));
}

fn one_that_left_the_group_and_holds_the_pipes_does_not_hold_the_job(place: &Place) {
    let id = place.add(&["n"]);
    place.work_off("setsid sh -c 'echo $$ > pid; exec sleep 600' & until [ -s pid ]; do sleep 0.01; done; echo done");
    assert_eq!(place.job(&id)["returnvalue"], "done");
    let pid = place.wait_for_line("pid").parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

fn concurrency_is_for_each_queue(place: &Place) {
    for queue in ["a", "b"] {
        for _ in 0..3 {
            place.run(&["add", queue, "n"]).done();
        }
    }
    let script = "echo $LARIAT_QUEUE >> started; until [ -e go ]; do sleep 0.01; done";
    let mut worker = place.work_on(&["a", "b"], &["-c", "2", "--exit-when-drained"], &["sh", "-c", script]);
    place.wait_for_lines("started", 4);
    for queue in ["a", "b"] {
        assert_eq!(place.count(queue, "active"), 2);
    }
    place.touch("go");
    worker.ends_with(0);
    assert_eq!(place.lines("started").len(), 6);
}

fn drained_means_nothing_delayed_either_and_failed_ones_do_not_count(place: &Place) {
    let bad = place.add(&["bad"]);
    let late = place.add(&["late", "--delay", "1s"]);
    place.work_off("[ $LARIAT_JOB_NAME = late ]");
    assert_eq!(
        (place.job(&bad)["state"].clone(), place.job(&late)["state"].clone()),
        (json!("failed"), json!("completed"))
    );
}

fn a_paused_queue_counts_as_drained_and_says_so(place: &Place) {
    let id = place.add(&["n"]);
    place.run(&["queue", "pause", "q"]).done();
    let mut worker = place.work(&["--exit-when-drained"], "exit 0");
    worker.ends_with(0);
    assert!(worker.said().contains("paused"), "{}", worker.said());
    assert_eq!(place.job(&id)["state"], "waiting");
}

fn the_workers_name_is_recorded(place: &Place) {
    let id = place.add(&["n"]);
    let mut worker = place.work(&["--name", "host-1", "--exit-when-drained"], "exit 0");
    worker.ends_with(0);
    assert_eq!(place.job(&id)["processedBy"], "host-1");
}

fn log_lines_can_be_json_and_one_a_second_for_each_cause(place: &Place) {
    for _ in 0..30 {
        place.add(&["a\u{1b}[31mb"]);
    }
    let mut worker = place.work(&["--exit-when-drained", "--log-format", "json"], "printf 'w\\033hy' >&2; exit 65");
    worker.ends_with(0);
    let lines: Vec<Value> = worker.said().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failed: Vec<_> = lines.iter().filter(|line| line["message"] == "a job failed").collect();
    assert!(!failed.is_empty() && failed[0]["reason"] == "w\u{1b}hy", "{lines:?}");
    let seconds: std::collections::BTreeSet<_> =
        failed.iter().map(|line| line["timestamp"].as_str().unwrap()[..19].to_owned()).collect();
    assert!(failed.len() <= seconds.len() + 1, "{failed:?}");
    assert!(!worker.said().contains('\u{1b}'));
    assert_eq!(lines.last().unwrap()["failed"], 30);
}

/// The shell dies of TERM at once; what it waited for gets the same two seconds.
fn all_of_the_group_may_tidy_up(place: &Place) {
    place.add(&["n"]);
    std::fs::write(
        place.path("tidy.sh"),
        "trap 'sleep 0.3; echo tidy > tidied; exit' TERM; touch ready; while :; do sleep 0.05; done",
    )
    .unwrap();
    let mut worker = place.work(&["--grace", "1ms"], "sh tidy.sh; :");
    wait::until("the command runs", || place.path("ready").exists());
    worker.signal(Signal::TERM);
    worker.ends_with(5);
    assert_eq!(place.lines("tidied"), ["tidy"]);
}

/// `timeout` and `setsid` make groups of their own.
fn what_left_the_group_is_ended_too(place: &Place) {
    place.add(&["n"]);
    let script = "setsid sh -c \"trap '' TERM; echo \\$\\$ >> pids; while :; do sleep 0.05; done\" & \
                  timeout 600 sh -c 'echo $$ >> pids; sleep 600'; :";
    let mut worker = place.work(&["--grace", "1ms"], script);
    place.wait_for_lines("pids", 2);
    worker.signal(Signal::TERM);
    worker.ends_with(5);
    let pids = place.lines("pids");
    assert!(pids.iter().all(|pid| !runs(pid)), "{pids:?}");
}

fn a_job_of_a_scheduler_is_handed_back_and_the_worker_says_why_it_stops(place: &Place) {
    let id = place.add(&["n"]);
    place.schedule(&id, "nightly");
    let mut worker = place.work(&[], "exit 0");
    worker.ends_with(1);
    assert!(worker.said().contains("nightly"), "{}", worker.said());
    assert_eq!(place.job(&id)["state"], "waiting");
}
