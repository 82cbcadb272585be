//! Each row of the table of what a command's end means.

use serde_json::{Value, json};

use crate::kit::{Place, on_both_stores};

on_both_stores! {
    zero_completes_with_what_was_printed,
    a_megabyte_may_be_printed_and_not_a_byte_more,
    sixty_five_fails_for_good,
    other_statuses_are_failed_attempts,
    a_signal_is_a_failed_attempt,
    the_reason_is_the_end_of_stderr,
    seventy_five_means_later_and_uses_no_attempt,
    later_is_the_backoff_of_the_next_attempt,
    a_failed_attempt_waits_for_its_backoff,
    a_command_that_cannot_be_spawned_puts_the_job_back,
    a_name_that_no_environment_can_hold_fails_for_good,
}

/// What becomes of a job with three attempts whose command is this script.
fn outcome(place: &Place, script: &str) -> Value {
    let id = place.add(&["n", "{\"x\":1}", "--attempts", "3"]);
    place.work_off(script);
    place.job(&id)
}

fn zero_completes_with_what_was_printed(place: &Place) {
    for (script, value) in [
        ("printf '{\"a\": 1}\\n'", json!({"a": 1})),
        ("echo two words", json!("two words")),
        ("printf 17", json!(17)),
        ("exit 0", Value::Null),
        ("printf 'a\\377b'", json!("a\u{fffd}b")),
    ] {
        let job = outcome(place, script);
        assert_eq!((&job["state"], &job["returnvalue"]), (&json!("completed"), &value), "{script}");
        assert_eq!((&job["attemptsMade"], &job["attemptsStarted"]), (&json!(1), &json!(1)));
    }
}

fn a_megabyte_may_be_printed_and_not_a_byte_more(place: &Place) {
    let job = outcome(place, "head -c 1048576 /dev/zero | tr '\\0' x");
    assert_eq!(job["returnvalue"].as_str().map(str::len), Some(1_048_576));
    let job = outcome(place, "head -c 1048577 /dev/zero | tr '\\0' x; sleep 600");
    assert_eq!((&job["state"], &job["attemptsMade"]), (&json!("failed"), &json!(3)));
    assert!(job["failedReason"].as_str().unwrap().contains("1024 KiB"), "{}", job["failedReason"]);
}

fn sixty_five_fails_for_good(place: &Place) {
    let job = outcome(place, "echo no such user >&2; exit 65");
    assert_eq!((&job["state"], &job["failedReason"]), (&json!("failed"), &json!("no such user")));
    assert_eq!((&job["attemptsMade"], &job["attemptsStarted"]), (&json!(1), &json!(1)));
}

fn other_statuses_are_failed_attempts(place: &Place) {
    let job = outcome(place, "exit 3");
    assert_eq!((&job["state"], &job["attemptsMade"]), (&json!("failed"), &json!(3)));
    assert_eq!(job["failedReason"], "the command ended with exit status 3");
    let job = outcome(place, "[ $LARIAT_ATTEMPT = 3 ]");
    assert_eq!((&job["state"], &job["attemptsMade"]), (&json!("completed"), &json!(3)));
}

fn a_signal_is_a_failed_attempt(place: &Place) {
    let job = outcome(place, "kill -9 $$");
    assert_eq!((&job["state"], &job["attemptsMade"]), (&json!("failed"), &json!(3)));
    assert_eq!(job["failedReason"], "the command was ended by signal 9 (SIGKILL)");
}

fn the_reason_is_the_end_of_stderr(place: &Place) {
    let job = outcome(place, "seq 1 5000 >&2; exit 65");
    let reason = job["failedReason"].as_str().unwrap();
    assert!(reason.ends_with("4999\n5000") && reason.len() <= 4096 && reason.len() > 4000, "{reason}");
}

fn seventy_five_means_later_and_uses_no_attempt(place: &Place) {
    let job = outcome(place, "[ $LARIAT_STARTS = 4 ] || exit 75");
    assert_eq!(job["state"], "completed");
    assert_eq!((&job["attemptsMade"], &job["attemptsStarted"]), (&json!(1), &json!(4)));
    assert_eq!(job["failedReason"], Value::Null);
    // Without a backoff of its own it waited a second each time.
    assert_eq!(job["delay"], 0);
}

fn later_is_the_backoff_of_the_next_attempt(place: &Place) {
    let id = place.add(&["n", "--attempts", "2", "--backoff", "fixed:1h"]);
    let _worker = place.work(&[], "exit 75");
    let job = place.wait_for_state(&id, "delayed");
    assert_eq!((&job["delay"], &job["attemptsMade"]), (&json!(3_600_000), &json!(0)));
}

fn a_failed_attempt_waits_for_its_backoff(place: &Place) {
    let id = place.add(&["n", "--attempts", "2", "--backoff", "fixed:1h"]);
    let _worker = place.work(&[], "echo why >&2; exit 1");
    let job = place.wait_for_state(&id, "delayed");
    assert_eq!((&job["delay"], &job["attemptsMade"]), (&json!(3_600_000), &json!(1)));
    assert_eq!(job["failedReason"], "why");
}

fn a_command_that_cannot_be_spawned_puts_the_job_back(place: &Place) {
    std::fs::write(place.path("job.sh"), "#!/bin/sh\nmv job.sh gone.sh\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.path("job.sh"), executable).unwrap();
    let first = place.add(&["n"]);
    let second = place.add(&["n"]);
    let mut worker = place.work_on(&["q"], &[], &["./job.sh"]);
    place.wait_for_state(&first, "completed");
    worker.wait_until_said("cannot run the command");
    // Other workers may have it now; this one takes no job for a while.
    worker.signal(rustix::process::Signal::USR1);
    worker.wait_until_said("quiet=true");
    let job = place.wait_for_state(&second, "waiting");
    assert_eq!((&job["attemptsMade"], &job["failedReason"]), (&json!(0), &Value::Null));
    std::fs::rename(place.path("gone.sh"), place.path("job.sh")).unwrap();
    place.wait_for_state(&second, "completed");
    worker.signal(rustix::process::Signal::TERM);
    worker.ends_with(0);
}

fn a_name_that_no_environment_can_hold_fails_for_good(place: &Place) {
    let id = place.add(&["n", "--attempts", "3"]);
    place.rename(&id, "a\0b");
    place.work_off("exit 0");
    let job = place.job(&id);
    assert_eq!((&job["state"], &job["attemptsStarted"]), (&json!("failed"), &json!(1)));
    assert!(job["failedReason"].as_str().unwrap().contains("NUL"), "{job}");
}
