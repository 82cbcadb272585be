//! What a command's end means for its job. Pure.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use lariat::{JobError, Outcome};
use serde_json::value::RawValue;

/// Exit status: failed for good (`EX_DATAERR`).
const FOR_GOOD: i32 = 65;
/// Exit status: later (`EX_TEMPFAIL`).
const LATER: i32 = 75;
/// The wait of a command that asks for another run, where the job names none.
const LATER_BY_DEFAULT: Duration = Duration::from_secs(1);

/// What a command that ended by itself says: `stdout` is all it printed, `stderr` the end of its words, `backoff` the
/// wait before the job's next attempt.
pub(crate) fn verdict(
    status: ExitStatus,
    stdout: &[u8],
    stderr: &str,
    backoff: Option<Duration>,
) -> Result<Outcome, JobError> {
    match status.code() {
        Some(0) => result(stdout),
        Some(LATER) => Ok(Outcome::Delay(backoff.unwrap_or(LATER_BY_DEFAULT))),
        Some(FOR_GOOD) => Err(JobError::fail(reason(status, stderr))),
        _ => Err(JobError::retry(reason(status, stderr))),
    }
}

/// Why it failed: its own last words, else its status in words.
fn reason(status: ExitStatus, stderr: &str) -> String {
    let words = stderr.trim();
    if words.is_empty() { in_words(status) } else { words.to_owned() }
}

/// An exit status in words.
fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the command ended with exit status {code}"),
        (None, Some(_)) => format!("the command was ended by {}", status.to_string().replace(": ", " ")),
        (None, None) => format!("the command ended: {status}"),
    }
}

/// What a command printed, as a job's result.
fn result(stdout: &[u8]) -> Result<Outcome, JobError> {
    if stdout.is_empty() {
        return Outcome::done(&());
    }
    let text = String::from_utf8_lossy(stdout.strip_suffix(b"\n").unwrap_or(stdout));
    match serde_json::from_str::<Box<RawValue>>(&text) {
        Ok(json) => Ok(Outcome::Done(json)),
        Err(_) => Outcome::done(&*text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    fn value(stdout: &[u8]) -> String {
        match verdict(exit(0), stdout, "", None) {
            Ok(Outcome::Done(value)) => value.get().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_printed_is_the_result() {
        assert_eq!(value(b""), "null");
        assert_eq!(value(b"\n"), "\"\"");
        assert_eq!(value(b"{\"a\": 1.0}\n"), "{\"a\": 1.0}");
        assert_eq!(value(b"  17 \n"), "17");
        assert_eq!(value(b"two words\n\n"), "\"two words\\n\"");
        assert_eq!(value(b"{\"a\":"), "\"{\\\"a\\\":\"");
        assert_eq!(value(b"a\xffb"), "\"a\u{fffd}b\"");
    }

    #[test]
    fn failures_speak_for_themselves() {
        let error = verdict(exit(1), b"", "no such user\n", None).unwrap_err();
        assert_eq!((error.reason(), error.may_retry()), ("no such user", true));
        let error = verdict(exit(65), b"", " \n", None).unwrap_err();
        assert_eq!((error.reason(), error.may_retry()), ("the command ended with exit status 65", false));
        let error = verdict(ExitStatus::from_raw(9), b"", "", None).unwrap_err();
        assert_eq!((error.reason(), error.may_retry()), ("the command was ended by signal 9 (SIGKILL)", true));
    }

    #[test]
    fn later_is_no_failure() {
        let wait = Duration::from_secs(7);
        assert!(matches!(verdict(exit(75), b"x", "y", Some(wait)), Ok(Outcome::Delay(given)) if given == wait));
        assert!(matches!(verdict(exit(75), b"", "", None), Ok(Outcome::Delay(given)) if given.as_secs() == 1));
    }
}
