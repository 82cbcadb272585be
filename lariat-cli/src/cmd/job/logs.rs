//! `lariat job logs`.

use lariat::LogPage;

use super::Target;
use crate::args::{LogsArgs, StoreArgs};
use crate::failure::{Failure, status};
use crate::output::{self, Reader};

/// Rows that are read in one call.
const PAGE: u64 = 500;

pub(super) async fn run(store: &StoreArgs, args: &LogsArgs) -> Result<u8, Failure> {
    let job = Target::named(store, &args.job)?;
    let (mut from, mut left) = (args.from, args.count.unwrap_or(u64::MAX));
    let mut page = job.queue.logs(&job.id, from, left.min(PAGE)).await?;
    if page.total == 0 {
        // A job without a log, or none.
        job.stored().await?;
    }
    let mut text = if args.json { head(&job, &page)? } else { String::new() };
    let mut first = true;
    loop {
        for row in &page.rows {
            if args.json {
                text += if std::mem::take(&mut first) { "" } else { "," };
                text += &output::json_line(row)?;
            } else {
                text += &output::shown(row);
                text.push('\n');
            }
        }
        let read = page.rows.len() as u64;
        (from, left) = (from.saturating_add(read), left - read.min(left));
        let more = left > 0 && read > 0 && from < page.total;
        if args.json && !more {
            text += "]}\n";
        }
        if output::print(&std::mem::take(&mut text))? == Reader::Gone || !more {
            return Ok(status::DONE);
        }
        page = job.queue.logs(&job.id, from, left.min(PAGE)).await?;
    }
}

/// The object up to its first row.
fn head(job: &Target, page: &LogPage) -> Result<String, Failure> {
    Ok(format!("{{\"id\":{},\"count\":{},\"logs\":[", output::json_line(&job.id.as_str())?, page.total))
}
