//! The search for stalled jobs, slice by slice.

use std::time::Duration;

use super::args::{ms, number, text};
use super::connect::Link;
use super::keys::Keys;
use super::reply::{self, bad_reply};
use super::script::Script;
use crate::error::Error;
use crate::id::JobId;
use crate::store::exchange::{Recover, RecoverCursor, Recovered};

/// Entries of `active` that one slice looks at.
const MOST_LOOKED_AT: usize = 2000;

pub(super) async fn recover(
    link: &Link,
    keys: &Keys,
    recover: &Recover,
    deadline: Duration,
) -> Result<Recovered, Error> {
    let cursor = recover.after.as_ref().map_or(" 0", |cursor| cursor.0.as_str());
    let (phase, passed) = cursor.split_once(' ').ok_or_else(|| bad_reply("a cursor that is not ours"))?;
    let args = [
        number(recover.now.as_millis()),
        number(recover.max_stalled),
        ms(recover.interval),
        text(phase),
        text(passed),
        number(MOST_LOOKED_AT),
    ];
    let value = Script::named("recover")?.run(link, &[&keys.base, &keys.suspects()], &args, deadline).await?;
    let [phase, passed, ids] = reply::parts(&value)? else { return Err(bad_reply("a slice of another shape")) };
    let ids = reply::parts(ids)?.iter().map(reply::text).collect::<Result<Vec<_>, Error>>()?;
    // An empty id is nobody's; that it is there must not end the search.
    let ids = ids.into_iter().filter_map(|id| JobId::existing(id).ok()).collect();
    let phase = reply::text(phase)?;
    let more = (!phase.is_empty())
        .then(|| Ok::<_, Error>(RecoverCursor(format!("{phase} {}", reply::count(passed)?))))
        .transpose()?;
    Ok(Recovered { ids, more })
}
