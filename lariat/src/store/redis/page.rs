//! Some jobs of one state.

use std::time::Duration;

use redis::Value;

use super::args::{Arg, number, text};
use super::codec;
use super::connect::Link;
use super::keys::Keys;
use super::reply::{self, bad_reply};
use super::script::Script;
use crate::error::Error;
use crate::id::JobId;
use crate::job::JobRecord;
use crate::store::view::{DamagedJob, JobPage, Page};

/// Ids that one call looks at, so that a large page does not hold the server.
const MOST_LOOKED_AT: u64 = 1000;

/// A large page is read in several calls; `deadline` is that of each.
pub(super) async fn page(link: &Link, keys: &Keys, page: &Page, deadline: Duration) -> Result<JobPage, Error> {
    let script = Script::named("page")?;
    let order = if page.oldest_first { "1" } else { "" };
    let (mut found, mut from, mut wanted) = (JobPage::default(), page.from, page.count);
    while wanted > 0 {
        let args = [text(page.state.as_str()), place(from), place(wanted), text(order), number(MOST_LOOKED_AT)];
        let value = script.run(link, &[&keys.base], &args, deadline).await?;
        let [looked, jobs] = reply::parts(&value)? else { return Err(bad_reply("a page of another shape")) };
        let (looked, jobs) = (reply::count(looked)?, reply::parts(jobs)?);
        for job in jobs {
            push(&mut found, job)?;
        }
        from = from.saturating_add(looked);
        if looked < MOST_LOOKED_AT {
            break;
        }
        wanted = wanted.saturating_sub(jobs.len() as u64);
    }
    found.next = from;
    Ok(found)
}

fn push(page: &mut JobPage, job: &Value) -> Result<(), Error> {
    let [id, record] = reply::parts(job)? else { return Err(bad_reply("a job without a record")) };
    match read(id, record)? {
        Ok(record) => page.jobs.push(*record),
        Err(why) => page.damaged.push(DamagedJob { id: reply::text(id)?, why }),
    }
    Ok(())
}

/// A record, or what is wrong with it. Instead of a record the script may give the server's words.
fn read(id: &Value, record: &Value) -> Result<Result<Box<JobRecord>, String>, Error> {
    let Value::Array(fields) = record else { return Ok(Err(reply::text(record)?)) };
    match JobId::existing(reply::text(id)?) {
        Ok(id) => Ok(codec::record(&id, reply::pairs(fields)?)),
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// A position or a number of entries, no larger than a script can count.
pub(super) fn place(entries: u64) -> Arg<'static> {
    number(entries.min(1 << 40))
}
