//! Stdin as batches of checked jobs, read on a thread of its own: while one batch is on its way, the next is made.

use std::io::{self, BufRead, BufReader};

use lariat::NewJob;
use tokio::sync::mpsc;

use super::lines;
use crate::failure::Failure;

/// Jobs that are added in one call, or not at all.
const MOST_JOBS: usize = 500;
/// Bytes of lines in one call: as many as the library sends in one, so that a batch is never two calls.
const MOST_BYTES: usize = 1 << 20;
/// Batches that are made ahead.
const AHEAD: usize = 2;

/// Jobs that are added together.
pub(super) struct Batch {
    pub(super) jobs: Vec<NewJob>,
    /// The number of its last line.
    pub(super) last: usize,
    /// How much of the input was read up to its end, in bytes.
    pub(super) upto: u64,
}

/// Why there is no further batch.
pub(super) enum Stop {
    /// A line that is no job.
    BadLine { number: usize, why: String },
    /// The input cannot be read.
    Broken(io::Error),
}

/// The batches of stdin, in order; behind a stop there are none.
pub(super) fn batches() -> Result<mpsc::Receiver<Result<Batch, Stop>>, Failure> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let send = move || {
        let mut reader = Reader::new(BufReader::with_capacity(1 << 16, io::stdin()));
        while let Some(read) = reader.next() {
            let ends = read.is_err();
            // Nobody to send to: the command ends.
            if sender.blocking_send(read).is_err() || ends {
                return;
            }
        }
    };
    let started = std::thread::Builder::new().name("stdin".into()).spawn(send);
    started.map_err(|e| Failure::failed(format!("cannot start: {e}")))?;
    Ok(receiver)
}

struct Reader<R> {
    input: R,
    line: Vec<u8>,
    number: usize,
    upto: u64,
    /// A job that did not fit into the batch before it, with its line's length.
    over: Option<(NewJob, usize)>,
}

impl<R: BufRead> Reader<R> {
    fn new(input: R) -> Reader<R> {
        Reader { input, line: Vec::new(), number: 0, upto: 0, over: None }
    }

    /// The next batch, or why there is none; None at the input's end. A bad line takes its batch with it.
    fn next(&mut self) -> Option<Result<Batch, Stop>> {
        let (mut jobs, mut bytes) = (Vec::with_capacity(MOST_JOBS), 0);
        let (mut last, mut upto) = (self.number, self.upto);
        loop {
            let (job, length) = match self.over.take().map_or_else(|| self.job(), |job| Ok(Some(job))) {
                Err(stop) => return Some(Err(stop)),
                Ok(Some(job)) => job,
                Ok(None) if jobs.is_empty() => return None,
                Ok(None) => return Some(Ok(Batch { jobs, last, upto })),
            };
            if !jobs.is_empty() && bytes + length > MOST_BYTES {
                self.over = Some((job, length));
                return Some(Ok(Batch { jobs, last, upto }));
            }
            jobs.push(job);
            bytes += length;
            (last, upto) = (self.number, self.upto);
            if jobs.len() == MOST_JOBS {
                return Some(Ok(Batch { jobs, last, upto }));
            }
        }
    }

    /// The next line that is not blank, and its length.
    fn job(&mut self) -> Result<Option<(NewJob, usize)>, Stop> {
        loop {
            self.line.clear();
            let length = self.input.read_until(b'\n', &mut self.line).map_err(Stop::Broken)?;
            if length == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.upto += length as u64;
            match lines::job(&self.line) {
                Ok(Some(job)) => return Ok(Some((job, length))),
                Ok(None) => {}
                Err(why) => return Err(Stop::BadLine { number: self.number, why }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many jobs each batch has, and its last line; then what ended it.
    fn batches(input: &str) -> (Vec<(usize, usize)>, Option<usize>) {
        let mut reader = Reader::new(input.as_bytes());
        let mut found = Vec::new();
        while let Some(read) = reader.next() {
            match read {
                Ok(batch) => found.push((batch.jobs.len(), batch.last)),
                Err(Stop::BadLine { number, .. }) => return (found, Some(number)),
                Err(Stop::Broken(error)) => panic!("{error}"),
            }
        }
        assert_eq!(reader.upto, input.len() as u64);
        (found, None)
    }

    #[test]
    fn a_batch_is_full_or_the_last() {
        let line = "{\"name\":\"n\"}\n";
        assert_eq!(batches(""), (vec![], None));
        assert_eq!(batches("\n\n"), (vec![], None));
        assert_eq!(batches(&line.repeat(2)), (vec![(2, 2)], None));
        assert_eq!(batches(&line.repeat(500)), (vec![(500, 500)], None));
        assert_eq!(batches(&("\n".to_owned() + &line.repeat(1001))), (vec![(500, 501), (500, 1001), (1, 1002)], None));
    }

    #[test]
    fn a_bad_line_takes_its_batch_with_it() {
        let line = "{\"name\":\"n\"}\n";
        assert_eq!(batches(&(line.repeat(3) + "x\n" + line)), (vec![], Some(4)));
        assert_eq!(batches(&(line.repeat(500) + "x")), (vec![(500, 500)], Some(501)));
    }

    #[test]
    fn large_jobs_make_small_batches() {
        let half = format!("{{\"name\":\"n\",\"data\":\"{}\"}}\n", "x".repeat(MOST_BYTES / 2 - 40));
        let whole = format!("{{\"name\":\"n\",\"data\":\"{}\"}}\n", "x".repeat(MOST_BYTES + 1));
        assert_eq!(batches(&half.repeat(3)), (vec![(2, 2), (1, 3)], None));
        assert_eq!(batches(&(whole.clone() + &half + &whole)), (vec![(1, 1), (1, 2), (1, 3)], None));
    }
}
