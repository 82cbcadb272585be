//! What a command finds, and what is seen of it while it runs.

use interop::wait;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::kit::{Place, runs, wait_until_gone};

#[test]
fn stdin_is_the_data_and_need_not_be_read() {
    let place = Place::new();
    let data = format!("{{\"b\": 1.0, \"a\": \"{}\"}}", "x".repeat(300_000));
    let id = place.add(&["n", "{}"]);
    place.redis::<()>(&["HSET", &format!("bull:q:{id}"), "data", &data]);
    place.work_off("cat");
    assert_eq!(place.redis::<String>(&["HGET", &format!("bull:q:{id}"), "returnvalue"]), data);
    let id = place.add(&["n", "{}"]);
    place.redis::<()>(&["HSET", &format!("bull:q:{id}"), "data", &data]);
    place.work_off("exec <&-; echo deaf");
    assert_eq!(place.job(&id)["returnvalue"], "deaf");
}

#[test]
fn the_environment_tells_the_job() {
    let place = Place::new();
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
        &format!("LARIAT_STORE={}", place.server.url()),
        "LARIAT_TRACEPARENT=00-ab-cd-01",
    ];
    assert_eq!(job["returnvalue"].as_str().unwrap().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_token_is_that_of_the_lock() {
    let place = Place::new();
    let id = place.add(&["n"]);
    let _worker = place.work(&[], "echo $LARIAT_TOKEN > token; exec sleep 600");
    let token = place.wait_for_line("token");
    assert_eq!(place.redis::<String>(&["GET", &format!("bull:q:{id}:lock")]), token);
}

#[test]
fn stderr_goes_to_the_log_while_it_runs() {
    let place = Place::new();
    let id = place.add(&["n"]);
    let _worker =
        place.work(&[], "echo one >&2; printf 'two\\nthr' >&2; until [ -e go ]; do sleep 0.01; done; echo ee >&2");
    let log = || place.redis::<Vec<String>>(&["LRANGE", &format!("bull:q:{id}:logs"), "0", "-1"]);
    wait::until("the first two lines are stored", || log() == ["one", "two"]);
    assert_eq!(place.job(&id)["state"], "active");
    place.touch("go");
    place.wait_for_state(&id, "completed");
    assert_eq!(log(), ["one", "two", "three"]);
}

#[test]
fn the_log_is_bounded() {
    let place = Place::new();
    let id = place.add(&["n"]);
    place.work_off("head -c 9000 /dev/zero | tr '\\0' x >&2; echo >&2; seq 1 5000 >&2");
    let log: Vec<String> = place.redis(&["LRANGE", &format!("bull:q:{id}:logs"), "0", "-1"]);
    assert_eq!((log.len(), log[0].len(), log[1].as_str(), log[999].as_str()), (1000, 4096, "1", "999"));
    assert_eq!(place.job(&id)["state"], "completed");
}

#[test]
fn a_timeout_is_a_failed_attempt_and_ends_the_whole_group() {
    let place = Place::new();
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

#[test]
fn a_command_that_obeys_term_may_tidy_up() {
    let place = Place::new();
    let id = place.add(&["n"]);
    let script = "trap 'echo tidy > tidied; exit 0' TERM; touch ready; while :; do sleep 0.05; done";
    let mut worker = place.work(&["--grace", "1ms"], script);
    wait::until("the command runs", || place.path("ready").exists());
    worker.signal(Signal::TERM);
    worker.ends_with(5);
    assert_eq!(place.lines("tidied"), ["tidy"]);
    assert_eq!(place.job(&id)["state"], "waiting", "an exit status of 0 after our TERM does not complete");
}

#[test]
fn what_a_command_leaves_running_ends_with_it() {
    let place = Place::new();
    let id = place.add(&["n"]);
    place.work_off("sleep 600 & echo $! > pid; echo done");
    assert_eq!(place.job(&id)["returnvalue"], "done");
    wait_until_gone(&place.wait_for_line("pid"));
}

#[test]
fn one_that_left_the_group_and_holds_the_pipes_does_not_hold_the_job() {
    let place = Place::new();
    let id = place.add(&["n"]);
    place.work_off("setsid sh -c 'echo $$ > pid; exec sleep 600' & until [ -s pid ]; do sleep 0.01; done; echo done");
    assert_eq!(place.job(&id)["returnvalue"], "done");
    let pid = place.wait_for_line("pid").parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn concurrency_is_for_each_queue() {
    let place = Place::new();
    for queue in ["a", "b"] {
        for _ in 0..3 {
            place.run(&["add", queue, "n"]).done();
        }
    }
    let script = "echo $LARIAT_QUEUE >> started; until [ -e go ]; do sleep 0.01; done";
    let mut worker = place.work_on(&["a", "b"], &["-c", "2", "--exit-when-drained"], &["sh", "-c", script]);
    place.wait_for_lines("started", 4);
    for queue in ["a", "b"] {
        assert_eq!(place.redis::<u64>(&["LLEN", &format!("bull:{queue}:active")]), 2);
    }
    place.touch("go");
    worker.ends_with(0);
    assert_eq!(place.lines("started").len(), 6);
}

#[test]
fn drained_means_nothing_delayed_either_and_failed_ones_do_not_count() {
    let place = Place::new();
    let bad = place.add(&["bad"]);
    let late = place.add(&["late", "--delay", "1s"]);
    place.work_off("[ $LARIAT_JOB_NAME = late ]");
    assert_eq!(
        (place.job(&bad)["state"].clone(), place.job(&late)["state"].clone()),
        (json!("failed"), json!("completed"))
    );
}

#[test]
fn a_paused_queue_counts_as_drained_and_says_so() {
    let place = Place::new();
    let id = place.add(&["n"]);
    place.redis::<()>(&["HSET", "bull:q:meta", "paused", "1"]);
    place.redis::<()>(&["DEL", "bull:q:marker"]);
    let mut worker = place.work(&["--exit-when-drained"], "exit 0");
    worker.ends_with(0);
    assert!(worker.said().contains("paused"), "{}", worker.said());
    assert_eq!(place.job(&id)["state"], "waiting");
}

#[test]
fn the_workers_name_is_recorded() {
    let place = Place::new();
    let id = place.add(&["n"]);
    let mut worker = place.work(&["--name", "host-1", "--exit-when-drained"], "exit 0");
    worker.ends_with(0);
    assert_eq!(place.job(&id)["processedBy"], "host-1");
}

#[test]
fn log_lines_can_be_json_and_one_a_second_for_each_cause() {
    let place = Place::new();
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
#[test]
fn all_of_the_group_may_tidy_up() {
    let place = Place::new();
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
#[test]
fn what_left_the_group_is_ended_too() {
    let place = Place::new();
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

#[test]
fn a_job_of_a_scheduler_is_handed_back_and_the_worker_says_why_it_stops() {
    let place = Place::new();
    let id = place.add(&["n"]);
    place.redis::<()>(&["HSET", &format!("bull:q:{id}"), "rjk", "nightly"]);
    let mut worker = place.work(&[], "exit 0");
    worker.ends_with(1);
    assert!(worker.said().contains("nightly"), "{}", worker.said());
    assert_eq!(place.job(&id)["state"], "waiting");
}
