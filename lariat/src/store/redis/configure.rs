//! Changing how a queue is worked.

use std::time::Duration;

use super::args::{Arg, ms, number, text};
use super::connect::Link;
use super::keys::Keys;
use super::reply;
use super::script::Script;
use crate::error::Error;
use crate::store::change::Setting;

/// Jobs that an older client put aside are merged in steps, so that many of them do not hold the server: `deadline` is
/// that of each step.
pub(super) async fn configure(link: &Link, keys: &Keys, setting: Setting, deadline: Duration) -> Result<(), Error> {
    let script = Script::named("configure")?;
    let mut left = reply::count(&script.run(link, &[&keys.base], &arguments(setting), deadline).await?)?;
    let go_on = [text("resume"), text("1")];
    while setting == Setting::Resume && left > 0 {
        left = reply::count(&script.run(link, &[&keys.base], &go_on, deadline).await?)?;
    }
    Ok(())
}

/// False, and nothing is deleted, where the queue has jobs. What lanes have left lapses by itself.
pub(super) async fn forget(link: &Link, keys: &Keys, deadline: Duration) -> Result<bool, Error> {
    let nothing: [Arg<'_>; 0] = [];
    let forgotten = Script::named("forget")?.run(link, &[&keys.base, &keys.suspects()], &nothing, deadline).await?;
    Ok(reply::count(&forgotten)? == 1)
}

fn arguments(setting: Setting) -> Vec<Arg<'static>> {
    match setting {
        Setting::Pause => vec![text("pause")],
        Setting::Resume => vec![text("resume"), text("")],
        Setting::Concurrency(most) => vec![text("concurrency"), most.map(number).unwrap_or_default()],
        Setting::RateLimit(Some(limit)) => vec![text("rate"), number(limit.max), ms(limit.duration)],
        Setting::RateLimit(None) => vec![text("rate"), text(""), text("")],
        Setting::Limited(duration) => vec![text("limited"), duration.map(ms).unwrap_or_default()],
    }
}
