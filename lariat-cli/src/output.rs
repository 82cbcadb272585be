//! How things are printed: data on stdout, words on stderr, and nothing that could command the terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use lariat::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use crate::failure::Failure;

/// Whether anybody reads what is printed. One that has had enough (`| head`) is no failure, and no reason to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    There,
    Gone,
}

/// Writes data to stdout.
pub(crate) fn print(text: &str) -> Result<Reader, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(e) => Err(Failure::failed(format!("cannot write to stdout: {e}"))),
    }
}

/// Whether anybody could read what would be printed, as far as that can be known without printing.
pub(crate) fn reader() -> Reader {
    let out = io::stdout();
    let mut asked = [PollFd::new(&out, PollFlags::empty())];
    let answered = poll(&mut asked, Some(&Timespec::default()));
    let gone = PollFlags::ERR | PollFlags::HUP;
    if answered.is_ok() && asked[0].revents().intersects(gone) { Reader::Gone } else { Reader::There }
}

/// Prints a value as one line of JSON.
pub(crate) fn print_json<T: Serialize>(value: &T) -> Result<Reader, Failure> {
    print(&(json_line(value)? + "\n"))
}

/// A value as JSON, without a line's end.
pub(crate) fn json_line<T: Serialize>(value: &T) -> Result<String, Failure> {
    let text = serde_json::to_string(value).map_err(|e| Failure::failed(format!("cannot write JSON: {e}")))?;
    Ok(one_line(&text))
}

/// A JSON array that is printed piece by piece, a line for each element.
#[derive(Debug, Default)]
pub(crate) struct Array {
    begun: bool,
}

impl Array {
    /// The text of the next element, and of what stands before it.
    pub(crate) fn element<T: Serialize>(&mut self, value: &T) -> Result<String, Failure> {
        let before = if std::mem::replace(&mut self.begun, true) { ",\n" } else { "[\n" };
        Ok(format!("{before}{}", json_line(value)?))
    }

    /// What stands behind the last element.
    pub(crate) fn end(self) -> &'static str {
        if self.begun { "\n]" } else { "[]" }
    }
}

/// Says something on stderr. There is nobody to tell when that fails.
pub(crate) fn say(words: &str) {
    let _ = writeln!(io::stderr().lock(), "lariat: {}", shown(words));
}

/// Text for a terminal: characters that it would obey, or that would reorder the line, are written out.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_control) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\t' => safe.push_str("\\t"),
            '\r' => safe.push_str("\\r"),
            c if is_control(c) => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// JSON on one line and without raw control characters. Inside a string they are written as escapes, which mean the
/// same; line breaks and tabs can only stand between tokens, where a space does as well.
pub(crate) fn one_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' | '\r' | '\t' => line.push(' '),
            c if is_control(c) => {
                let _ = write!(line, "\\u{:04x}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    line
}

/// C0, DEL, C1, and the marks that turn the direction of writing.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// An instant for people: RFC 3339, UTC.
pub(crate) fn time(at: Timestamp) -> String {
    /// The last instant with a four-digit year.
    const LAST: i64 = 253_402_300_799_999;
    match u64::try_from(at.as_millis()) {
        Ok(ms) if at.as_millis() <= LAST => {
            humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
        }
        _ => at.to_string(),
    }
}

/// `1 job`, `2 jobs`.
pub(crate) fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// A span for people, to the tenth of a second.
pub(crate) fn span(span: Duration) -> String {
    if span < Duration::from_secs(60) {
        format!("{:.1}s", span.as_secs_f64())
    } else {
        humantime::format_duration(Duration::from_secs(span.as_secs())).to_string().replace(' ', "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "job")), ["0 jobs", "1 job", "2 jobs"]);
    }

    #[test]
    fn a_terminal_is_not_commanded() {
        assert_eq!(shown("plain ä"), "plain ä");
        assert_eq!(shown("\u{1b}]0;owned\u{7}\n\u{9b}31m\u{202e}x"), r"\u{1b}]0;owned\u{7}\n\u{9b}31m\u{202e}x");
    }

    #[test]
    fn json_on_one_line_means_the_same() {
        let raw = "{\"a\":\n\t\"\u{9b}\u{7f}\u{202e}ä\"}";
        let line = one_line(raw);
        assert!(!line.contains(is_control), "{line}");
        let (before, after): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(raw).unwrap(), serde_json::from_str(&line).unwrap());
        assert_eq!(before, after);
    }

    #[test]
    fn an_array_in_pieces_is_an_array() {
        let whole = |elements: &[u8]| {
            let mut array = Array::default();
            let mut text: String = elements.iter().map(|element| array.element(element).unwrap()).collect();
            text += array.end();
            serde_json::from_str::<Vec<u8>>(&text).unwrap()
        };
        for elements in [&[][..], &[1], &[1, 2, 3]] {
            assert_eq!(whole(elements), elements);
        }
    }

    #[test]
    fn times_and_spans() {
        assert_eq!(time(Timestamp::from_millis(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
        assert_eq!(time(Timestamp::from_millis(-1)), "-1 ms");
        assert_eq!(time(Timestamp::from_millis(i64::MAX)), "9223372036854775807 ms");
        assert_eq!(span(Duration::from_millis(1250)), "1.2s");
        assert_eq!(span(Duration::from_secs(3725)), "1h2m5s");
    }
}
