//! Where a job's row is: its number in its queue, below the queue's own row. So a job with a number for an id is found
//! without an index, and jobs of one queue lie together.

use crate::id::JobId;

/// Numbers that one queue can give out: a thousand milliard.
const BITS: u32 = 40;

/// The row of the job with this number in the queue of this row.
pub(super) const fn job_row(queue: i64, number: i64) -> i64 {
    (queue << BITS) | number
}

/// The number of a job's row in its queue.
pub(super) const fn number_of(row: i64) -> i64 {
    row & ((1 << BITS) - 1)
}

/// The number that an id is, in the one way in which the queue writes numbers.
pub(super) fn as_number(id: &str) -> Option<i64> {
    let number = id.parse::<i64>().ok().filter(|number| (1..1 << BITS).contains(number))?;
    (id.len() == digits(number) && !id.starts_with('+')).then_some(number)
}

fn digits(number: i64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// The id of a row, `custom` being the one that was given for it.
pub(super) fn id_of(row: i64, custom: Option<String>) -> JobId {
    JobId::stored(custom.unwrap_or_else(|| number_of(row).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_numbers_go_both_ways() {
        let row = job_row(7, 1_000_000);
        assert_eq!((row >> BITS, number_of(row)), (7, 1_000_000));
        assert!(job_row(7, (1 << BITS) - 1) < job_row(8, 0));
    }

    #[test]
    fn only_what_the_queue_would_write_is_a_number() {
        for (id, number) in [("1", 1), ("10", 10), ("999", 999), ("1000", 1000)] {
            assert_eq!(as_number(id), Some(number));
        }
        for id in ["", "0", "-1", "+1", "01", "1 ", "1.0", "x", "1099511627776", "99999999999999999999"] {
            assert_eq!(as_number(id), None, "{id:?}");
        }
    }
}
