//! Changing one job.

use std::time::Duration;

use super::args::{Arg, number, text};
use super::connect::Link;
use super::keys::Keys;
use super::reply;
use super::script::Script;
use crate::error::{Error, Refusal};
use crate::store::change::{Change, ChangeJob, Changed};

pub(super) async fn change(link: &Link, keys: &Keys, change: &ChangeJob, deadline: Duration) -> Result<Changed, Error> {
    let args = arguments(change);
    let value = Script::named("change")?.run(link, &[&keys.base], &args, deadline).await?;
    let code = reply::integer(&value)?;
    match Refusal::from_code(code) {
        Some(refusal) => Err(Error::refused(refusal).for_job(&change.id)),
        None => Ok(Changed { log_rows: reply::count(&value)? }),
    }
}

fn arguments(change: &ChangeJob) -> Vec<Arg<'_>> {
    let mut args = vec![text(change.id.as_str()), text(change.holder.as_deref().unwrap_or_default())];
    match &change.change {
        Change::Progress(value) => args.extend([text("progress"), text(value.get())]),
        Change::Data(value) => args.extend([text("data"), text(value.get())]),
        Change::Log { rows, keep } => {
            args.extend([text("log"), keep.map(number).unwrap_or_default()]);
            args.extend(rows.iter().map(|row| text(row)));
        }
    }
    args
}
