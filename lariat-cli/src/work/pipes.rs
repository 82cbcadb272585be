//! The three pipes of a command: its input, what it prints (bounded), and its words (bounded, line by line).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// Most bytes that a command may print: its result is kept in the store.
pub(crate) const MOST_PRINTED: usize = 1024 * 1024;
/// Most lines of stderr that go to a job's log.
const MOST_LINES: usize = 1000;
/// Most bytes of each.
const LONGEST_LINE: usize = 4096;
/// How much of the end of stderr is kept as the reason of a failure.
const KEPT_WORDS: usize = 4096;

/// The command printed more than [`MOST_PRINTED`].
#[derive(Debug)]
pub(crate) struct TooMuch;

/// Gives a command its input. One that closes its input, or ends, before it has read all has read enough.
pub(crate) async fn feed(mut stdin: impl AsyncWrite + Unpin, input: &[u8]) {
    if stdin.write_all(input).await.is_ok() {
        let _ = stdin.shutdown().await;
    }
}

/// Reads what a command prints into `printed` until it closes its output or has printed too much.
pub(crate) async fn collect(stdout: impl AsyncRead + Unpin, printed: &mut Vec<u8>) -> Result<(), TooMuch> {
    let mut stdout = stdout.take(MOST_PRINTED as u64 + 1);
    loop {
        // A pipe that cannot be read any more has nothing more to say.
        if !matches!(stdout.read_buf(printed).await, Ok(1..)) {
            return Ok(());
        }
        if printed.len() > MOST_PRINTED {
            return Err(TooMuch);
        }
    }
}

/// Reads a command's words: the end is kept in `words`, each line goes to `rows` as soon as it is whole.
pub(crate) async fn listen(
    mut stderr: impl AsyncRead + Unpin,
    words: &mut LastWords,
    rows: mpsc::UnboundedSender<String>,
) {
    let mut lines = Lines::default();
    let mut chunk = vec![0; 8192];
    loop {
        let read: io::Result<usize> = stderr.read(&mut chunk).await;
        let Ok(length @ 1..) = read else { break };
        let new = chunk.get(..length).unwrap_or_default();
        words.push(new);
        lines.push(new, |row| {
            // Nobody listens any more: the job's log is closed. The words still count.
            let _ = rows.send(row);
        });
    }
    lines.end(|row| {
        let _ = rows.send(row);
    });
}

/// The end of what was written.
#[derive(Debug, Default)]
pub(crate) struct LastWords {
    kept: Vec<u8>,
    cut: bool,
}

impl LastWords {
    fn push(&mut self, new: &[u8]) {
        self.kept.extend_from_slice(new);
        // Trimmed in steps, so that a long stream is not moved byte by byte.
        if self.kept.len() > 4 * KEPT_WORDS {
            self.trim();
        }
    }

    fn trim(&mut self) {
        if let Some(over) = self.kept.len().checked_sub(KEPT_WORDS).filter(|over| *over > 0) {
            self.kept.drain(..over);
            self.cut = true;
        }
    }

    /// The last 4 KiB as text; a character that the cut went through is left out.
    pub(crate) fn text(mut self) -> String {
        self.trim();
        let begin = if self.cut { self.kept.iter().take_while(|byte| **byte & 0xc0 == 0x80).count() } else { 0 };
        String::from_utf8_lossy(self.kept.get(begin..).unwrap_or_default()).into_owned()
    }
}

/// Splits a stream into lines, bounded in length and number.
#[derive(Debug, Default)]
struct Lines {
    line: Vec<u8>,
    given: usize,
}

impl Lines {
    fn push(&mut self, new: &[u8], mut give: impl FnMut(String)) {
        let mut pieces = new.split(|byte| *byte == b'\n');
        if let Some(first) = pieces.next() {
            self.extend(first);
        }
        for piece in pieces {
            self.finish(&mut give);
            self.extend(piece);
        }
    }

    fn end(mut self, mut give: impl FnMut(String)) {
        if !self.line.is_empty() {
            self.finish(&mut give);
        }
    }

    fn extend(&mut self, piece: &[u8]) {
        let room = if self.given < MOST_LINES { LONGEST_LINE - self.line.len() } else { 0 };
        self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }

    fn finish(&mut self, give: &mut impl FnMut(String)) {
        if self.given < MOST_LINES {
            self.given += 1;
            let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
            give(String::from_utf8_lossy(line).into_owned());
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut rows) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.push(chunk, |row| rows.push(row));
        }
        lines.end(|row| rows.push(row));
        rows
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        assert_eq!(split(&[b"on", b"e\ntw", b"o\n", b"\nlast"]), ["one", "two", "", "last"]);
        assert_eq!(split(&[b"a\r\nb\xff\n"]), ["a", "b\u{fffd}"]);
        assert!(split(&[b""]).is_empty());
    }

    #[test]
    fn lines_are_bounded_in_length_and_number() {
        let long = vec![b'x'; 3 * LONGEST_LINE];
        assert_eq!(split(&[&long, b"y\nshort\n"]), ["x".repeat(LONGEST_LINE), "short".to_owned()]);
        let many = b"a\n".repeat(MOST_LINES + 50);
        assert_eq!(split(&[&many, &long]).len(), MOST_LINES);
    }

    #[test]
    fn the_end_of_the_words_is_kept() {
        let mut words = LastWords::default();
        for _ in 0..10_000 {
            words.push("ä\n".as_bytes());
        }
        words.push(b"the end");
        let text = words.text();
        assert!(text.ends_with("ä\nthe end") && text.len() <= KEPT_WORDS && !text.contains('\u{fffd}'), "{text}");
        let mut short = LastWords::default();
        short.push(b"\x80odd");
        assert_eq!(short.text(), "\u{fffd}odd");
    }

    #[tokio::test]
    async fn printing_is_bounded_and_early_closing_is_no_error() {
        let endless = tokio::io::repeat(b'x');
        let mut printed = Vec::new();
        assert!(collect(endless, &mut printed).await.is_err());
        assert_eq!(printed.len(), MOST_PRINTED + 1);
        let exact = vec![b'x'; MOST_PRINTED];
        let mut printed = Vec::new();
        assert!(collect(&exact[..], &mut printed).await.is_ok());
        let (reader, writer) = tokio::io::duplex(16);
        drop(reader);
        feed(writer, &[0; 1024]).await;
    }
}
