//! Some jobs of one state.

use std::time::Duration;

use redis::Value;

use super::args::{number, text};
use super::codec;
use super::connect::Link;
use super::keys::Keys;
use super::reply::{self, bad_reply};
use super::script::Script;
use crate::error::Error;
use crate::id::JobId;
use crate::store::view::{DamagedJob, JobPage, Page};

pub(super) async fn page(link: &Link, keys: &Keys, page: &Page, deadline: Duration) -> Result<JobPage, Error> {
    let order = if page.oldest_first { "1" } else { "" };
    let args = [text(page.state.as_str()), place(page.from), place(page.count), text(order)];
    let value = Script::named("page")?.run(link, &[&keys.base], &args, deadline).await?;
    let mut found = JobPage::default();
    for entry in reply::parts(&value)? {
        let [id, record] = reply::parts(entry)? else { return Err(bad_reply("a job without a record")) };
        match read(id, record) {
            Ok(Ok(record)) => found.jobs.push(*record),
            Ok(Err(why)) => found.damaged.push(DamagedJob { id: reply::text(id)?, why }),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// A record, or what is wrong with it. Instead of a record the script may give the server's words.
fn read(id: &Value, record: &Value) -> Result<Result<Box<crate::job::JobRecord>, String>, Error> {
    let Value::Array(fields) = record else { return Ok(Err(reply::text(record)?)) };
    match JobId::existing(reply::text(id)?) {
        Ok(id) => Ok(codec::record(&id, reply::pairs(fields)?)),
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// A position or a number of entries, no larger than a script can count.
pub(super) fn place(number_of: u64) -> super::args::Arg<'static> {
    number(number_of.min(1 << 40))
}
