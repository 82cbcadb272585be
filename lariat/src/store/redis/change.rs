//! Changing one job.

use std::time::Duration;

use super::args::{Arg, ms, number, text};
use super::connect::Link;
use super::keys::Keys;
use super::reply;
use super::script::Script;
use crate::error::{Error, Refusal};
use crate::job::JobState;
use crate::store::change::{Change, ChangeJob, Changed};

pub(super) async fn change(link: &Link, keys: &Keys, change: &ChangeJob, deadline: Duration) -> Result<Changed, Error> {
    let (script, args) = arguments(change);
    let value = Script::named(script)?.run(link, &[&keys.base], &args, deadline).await?;
    let code = reply::integer(&value)?;
    match Refusal::from_code(code) {
        Some(refusal) => Err(Error::refused(refusal).for_job(&change.id)),
        None => Ok(Changed { log_rows: reply::count(&value)? }),
    }
}

/// The script, and what it takes: see `lua/change.lua` and `lua/move.lua`.
fn arguments(change: &ChangeJob) -> (&'static str, Vec<Arg<'_>>) {
    let holder = change.holder.as_deref().unwrap_or_default();
    let mut args = vec![text(change.id.as_str()), text(holder), number(change.now.as_millis())];
    let script = match &change.change {
        Change::Progress(value) => {
            args.extend([text("progress"), text(value.get())]);
            "change"
        }
        Change::Data(value) => {
            args.extend([text("data"), text(value.get())]);
            "change"
        }
        Change::Log { rows, keep } => {
            args.extend([text("log"), keep.map(number).unwrap_or_default()]);
            args.extend(rows.iter().map(|row| text(row)));
            "change"
        }
        Change::TrimLog { keep } => {
            args.extend([text("trim"), number(keep)]);
            "change"
        }
        Change::Promote => {
            args.push(text("promote"));
            "move"
        }
        Change::Delay(delay) => {
            args.extend([text("delay"), ms(*delay)]);
            "move"
        }
        Change::Priority { priority, lifo } => {
            args.extend([text("priority"), number(priority), flag(*lifo)]);
            "move"
        }
        Change::Reprocess { from, reset_made, reset_started } => {
            let from = from.map_or("", JobState::as_str);
            args.extend([text("reprocess"), text(from), flag(*reset_made), flag(*reset_started)]);
            "move"
        }
        Change::Remove { children } => {
            args.extend([text("remove"), flag(*children)]);
            "move"
        }
    };
    (script, args)
}

fn flag(flag: bool) -> Arg<'static> {
    text(if flag { "1" } else { "" })
}
