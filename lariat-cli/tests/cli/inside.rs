//! `job progress` and `job log`, inside a command and by hand.

use serde_json::{Value, json};

use crate::kit::{Place, Ran, on_both_stores, run};

on_both_stores! {
    a_command_reports_on_its_own_job,
    a_command_whose_lock_is_lost_is_refused,
    progress_by_hand_may_be_any_json,
    a_log_keeps_what_it_is_given_and_as_much_as_the_job_wants,
    bad_input_and_what_is_not_there,
}

const LARIAT: &str = env!("CARGO_BIN_EXE_lariat");

fn a_command_reports_on_its_own_job(place: &Place) {
    let id = place.add(&["n"]);
    place.work_off(&format!(
        "'{LARIAT}' job progress 40 && '{LARIAT}' job log 'half of it' && '{LARIAT}' job log -- -x"
    ));
    let job = place.job(&id);
    assert_eq!((&job["state"], &job["progress"]), (&json!("completed"), &json!(40)));
    assert_eq!(job["returnvalue"], Value::Null, "nothing of it on stdout, which is the job's result");
    assert_eq!(place.log(&id), ["half of it", "-x"]);
}

/// As a command of this token's run would do it.
fn as_holder(place: &Place, token: &str, args: &[&str]) -> Ran {
    let mut command = place.lariat(args);
    command.envs([("LARIAT_QUEUE", "q"), ("LARIAT_JOB_ID", "1"), ("LARIAT_TOKEN", token)]);
    run(command, "")
}

fn a_command_whose_lock_is_lost_is_refused(place: &Place) {
    let id = place.add(&["n"]);
    for lock in [None, Some("another")] {
        if let Some(token) = lock {
            place.give_lock("1", token);
        }
        for args in [&["job", "progress", "40"][..], &["job", "log", "x"], &["job", "progress", "q", "1", "40"]] {
            as_holder(place, "mine", args).failed_with(1, &["\"1\"", "LARIAT_TOKEN", "nothing was changed"]);
        }
    }
    assert_eq!((&place.job(&id)["progress"], place.log(&id).len()), (&Value::Null, 0));
    place.give_lock("1", "mine");
    assert_eq!(as_holder(place, "mine", &["job", "progress", "40"]).done(), "");
    assert_eq!(as_holder(place, "mine", &["job", "log", "x", "--json"]).done(), "{\"id\":\"1\",\"rows\":1}\n");
    // Another job than the environment's is not this token's business.
    let other = place.add(&["n"]);
    assert_eq!(as_holder(place, "gone", &["job", "progress", "q", &other, "1"]).done(), "");
    assert_eq!((&place.job(&id)["progress"], &place.job(&other)["progress"]), (&json!(40), &json!(1)));
    place.lose_record("1");
    as_holder(place, "mine", &["job", "progress", "40"]).failed_with(3, &["has no job \"1\""]);
    as_holder(place, "mine", &["job", "log", "x"]).failed_with(3, &["has no job \"1\""]);
}

fn progress_by_hand_may_be_any_json(place: &Place) {
    let id = place.add(&["n"]);
    for progress in ["0", "-5", "0.5", "true", "\"half\"", "{\"step\": 2}", "[1]", "null"] {
        assert_eq!(place.run(&["job", "progress", "q", &id, progress]).done(), "");
        let expected: Value = serde_json::from_str(progress).unwrap();
        assert_eq!(place.job(&id)["progress"], expected, "{progress}");
    }
    assert_eq!(place.run(&["job", "progress", "q", &id, "1", "--json"]).done(), "{\"id\":\"1\"}\n");
}

fn a_log_keeps_what_it_is_given_and_as_much_as_the_job_wants(place: &Place) {
    run(place.lariat(&["add", "q", "--stdin"]), "{\"name\":\"n\",\"opts\":{\"keepLogs\":2}}\n").done();
    for row in ["one", "two\nlines", "\u{1b}[31m", ""] {
        assert_eq!(place.run(&["job", "log", "q", "1", row]).done(), "");
    }
    assert_eq!(place.log("1"), ["\u{1b}[31m", ""]);
    assert_eq!(place.run(&["job", "log", "q", "1", "last", "--json"]).done(), "{\"id\":\"1\",\"rows\":2}\n");
}

fn bad_input_and_what_is_not_there(place: &mut Place) {
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
    place.go_away();
    place.run(&["job", "progress", "q", "1", "1"]).failed_with(4, &[place.called()]);
    place.run(&["job", "log", "q", "1", "x"]).failed_with(4, &[place.called()]);
}
