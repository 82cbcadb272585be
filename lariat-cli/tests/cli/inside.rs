//! `job progress` and `job log`, inside a command and by hand.

use serde_json::{Value, json};

use crate::kit::{Place, Ran, run};

const LARIAT: &str = env!("CARGO_BIN_EXE_lariat");

fn log_of(place: &Place, id: &str) -> Vec<String> {
    place.redis(&["LRANGE", &format!("bull:q:{id}:logs"), "0", "-1"])
}

#[test]
fn a_command_reports_on_its_own_job() {
    let place = Place::new();
    let id = place.add(&["n"]);
    place.work_off(&format!(
        "'{LARIAT}' job progress 40 && '{LARIAT}' job log 'half of it' && '{LARIAT}' job log -- -x"
    ));
    let job = place.job(&id);
    assert_eq!((&job["state"], &job["progress"]), (&json!("completed"), &json!(40)));
    assert_eq!(job["returnvalue"], Value::Null, "nothing of it on stdout, which is the job's result");
    assert_eq!(log_of(&place, &id), ["half of it", "-x"]);
}

/// As a command of this token's run would do it.
fn as_holder(place: &Place, token: &str, args: &[&str]) -> Ran {
    let mut command = place.lariat(args);
    command.envs([("LARIAT_QUEUE", "q"), ("LARIAT_JOB_ID", "1"), ("LARIAT_TOKEN", token)]);
    run(command, "")
}

#[test]
fn a_command_whose_lock_is_lost_is_refused() {
    let place = Place::new();
    let id = place.add(&["n"]);
    for lock in [None, Some("another")] {
        if let Some(token) = lock {
            place.redis::<()>(&["SET", "bull:q:1:lock", token]);
        }
        for args in [&["job", "progress", "40"][..], &["job", "log", "x"], &["job", "progress", "q", "1", "40"]] {
            as_holder(&place, "mine", args).failed_with(1, &["\"1\"", "LARIAT_TOKEN", "nothing was changed"]);
        }
    }
    assert_eq!((&place.job(&id)["progress"], log_of(&place, &id).len()), (&Value::Null, 0));
    place.redis::<()>(&["SET", "bull:q:1:lock", "mine"]);
    assert_eq!(as_holder(&place, "mine", &["job", "progress", "40"]).done(), "");
    assert_eq!(as_holder(&place, "mine", &["job", "log", "x", "--json"]).done(), "{\"id\":\"1\",\"rows\":1}\n");
    // Another job than the environment's is not this token's business.
    let other = place.add(&["n"]);
    assert_eq!(as_holder(&place, "gone", &["job", "progress", "q", &other, "1"]).done(), "");
    assert_eq!((&place.job(&id)["progress"], &place.job(&other)["progress"]), (&json!(40), &json!(1)));
    place.redis::<()>(&["DEL", "bull:q:1"]);
    as_holder(&place, "mine", &["job", "progress", "40"]).failed_with(3, &["has no job \"1\""]);
    as_holder(&place, "mine", &["job", "log", "x"]).failed_with(3, &["has no job \"1\""]);
}

#[test]
fn progress_by_hand_may_be_any_json() {
    let place = Place::new();
    let id = place.add(&["n"]);
    for progress in ["0", "-5", "0.5", "true", "\"half\"", "{\"step\": 2}", "[1]", "null"] {
        assert_eq!(place.run(&["job", "progress", "q", &id, progress]).done(), "");
        let expected: Value = serde_json::from_str(progress).unwrap();
        assert_eq!(place.job(&id)["progress"], expected, "{progress}");
    }
    assert_eq!(place.run(&["job", "progress", "q", &id, "1", "--json"]).done(), "{\"id\":\"1\"}\n");
}

#[test]
fn a_log_keeps_what_it_is_given_and_as_much_as_the_job_wants() {
    let place = Place::new();
    run(place.lariat(&["add", "q", "--stdin"]), "{\"name\":\"n\",\"opts\":{\"keepLogs\":2}}\n").done();
    for row in ["one", "two\nlines", "\u{1b}[31m", ""] {
        assert_eq!(place.run(&["job", "log", "q", "1", row]).done(), "");
    }
    assert_eq!(log_of(&place, "1"), ["\u{1b}[31m", ""]);
    assert_eq!(place.run(&["job", "log", "q", "1", "last", "--json"]).done(), "{\"id\":\"1\",\"rows\":2}\n");
}

#[test]
fn bad_input_and_what_is_not_there() {
    let mut place = Place::new();
    place.add(&["n"]);
    for (args, words) in [
        (&["job", "progress"][..], &["JSON"][..]),
        (&["job", "progress", "1"], &["no QUEUE and ID", "LARIAT_QUEUE", "LARIAT_JOB_ID"]),
        (&["job", "progress", "q", "1"], &["QUEUE and ID", "both"]),
        (&["job", "progress", "q", "1", "half"], &["JSON", "half", "quotes"]),
        (&["job", "progress", "q", "1", "2", "3"], &["'3'"]),
        (&["job", "progress", "q", "", "2"], &["job id"]),
        (&["job", "log", "a:b", "1", "x"], &["queue name", "a:b"]),
        (&["job", "log"], &["QUEUE ID TEXT"]),
        (&["job", "log", "x"], &["no QUEUE and ID"]),
    ] {
        place.run(args).failed_with(2, words);
    }
    place.run(&["job", "progress", "q", "17", "1"]).failed_with(3, &["queue \"q\" has no job \"17\""]);
    place.run(&["job", "log", "q", "17", "x"]).failed_with(3, &["queue \"q\" has no job \"17\""]);
    place.server.kill();
    place.run(&["job", "progress", "q", "1", "1"]).failed_with(4, &["127.0.0.1"]);
    place.run(&["job", "log", "q", "1", "x"]).failed_with(4, &["127.0.0.1"]);
}
