//! One line of `add --stdin`.

use lariat::NewJob;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::opts;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    #[serde(default = "empty")]
    data: Box<RawValue>,
    #[serde(default)]
    opts: Map<String, Value>,
}

/// No payload is stored as an empty object; an explicit null stays null.
fn empty() -> Box<RawValue> {
    serde_json::from_str("{}").unwrap_or_default()
}

/// Reads and checks a job; None for a blank line. The error says what is wrong with it.
pub(super) fn job(line: &[u8]) -> Result<Option<NewJob>, String> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let Line { name, data, opts } = serde_json::from_slice(line).map_err(|e| in_line(&e))?;
    let options = opts::read(opts)?;
    let job = NewJob::new(name, &data).options(options);
    job.check().map_err(|e| e.to_string())?;
    Ok(Some(job))
}

/// The parser counts lines too, but it sees only this one.
fn in_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) if error.column() > 0 => format!("{what} at column {}", error.column()),
        Some((what, _)) => what.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> String {
        job(line.as_bytes()).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_line_is_a_job_or_blank() {
        assert!(job(b"{\"name\":\"a\"}\n").unwrap().is_some());
        assert!(job(b"{\"name\":\"a\",\"data\":null,\"opts\":{\"delay\":5}}\r\n").unwrap().is_some());
        assert!(job(b" \t\r\n").unwrap().is_none());
    }

    #[test]
    fn what_is_wrong_is_said_in_terms_of_the_line() {
        for (line, words) in [
            ("{", "at column 1"),
            ("[]", "invalid length 0"),
            ("{\"name\":1}", "expected a string at column"),
            ("{\"data\":{}}", "missing field `name`"),
            ("{\"name\":\"\"}", "job name \"\" must not be empty"),
            ("{\"name\":\"a\",\"option\":{}}", "unknown field `option`"),
            ("{\"name\":\"a\",\"opts\":{\"priority\":2097152}}", "must be 0 to 2097151"),
            ("{\"name\":\"a\",\"opts\":{\"jobId\":\"a:b\"}}", "must not contain ':'"),
            (
                "{\"name\":\"a\",\"data\":\"long\",\"opts\":{\"sizeLimit\":5}}",
                "data size \"6 bytes\" must be at most 5",
            ),
            ("{\"name\":\"a\"} x", "trailing characters at column"),
        ] {
            let error = error(line);
            assert!(error.contains(words) && !error.contains(" at line "), "{line}: {error}");
        }
        assert!(job(b"{\"name\":\"\xff\"}").is_err());
    }
}
