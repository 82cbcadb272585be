//! Reading one job, and the queue as a whole.

use std::time::Duration;

use super::codec;
use super::connect::Link;
use super::keys::Keys;
use super::reply::{self, bad_reply};
use super::script::Script;
use crate::error::{Error, ErrorKind};
use crate::id::JobId;
use crate::job::{JobState, StoredJob};
use crate::store::view::{Counts, Overview};

pub(super) async fn job(link: &Link, keys: &Keys, id: &JobId, deadline: Duration) -> Result<Option<StoredJob>, Error> {
    let value = Script::named("job")?.run(link, &[&keys.base], &[id.as_str()], deadline).await?;
    let [record, state] = reply::parts(&value)? else { return Err(bad_reply("a job without a state")) };
    let fields = reply::parts(record)?;
    if fields.is_empty() {
        return Ok(None);
    }
    let pairs = fields
        .chunks_exact(2)
        .map(|pair| Ok((reply::bytes(&pair[0])?, reply::bytes(&pair[1])?)))
        .collect::<Result<Vec<_>, Error>>()?;
    let record = codec::record(id, pairs).map_err(|why| Error::new(ErrorKind::Data, why).for_job(id))?;
    let name = reply::text(state)?;
    let state = JobState::ALL.into_iter().find(|state| state.as_str() == name);
    Ok(Some(StoredJob { record: *record, state }))
}

pub(super) async fn overview(link: &Link, keys: &Keys, deadline: Duration) -> Result<Overview, Error> {
    let value = Script::named("overview")?.run::<_, &[u8]>(link, &[&keys.base], &[], deadline).await?;
    let counts = reply::parts(&value)?.iter().map(reply::count).collect::<Result<Vec<_>, _>>()?;
    let [paused, waiting, active, delayed, prioritized, completed, failed, waiting_children] = counts[..] else {
        return Err(bad_reply("another number of counts"));
    };
    let counts = Counts { waiting, active, delayed, prioritized, completed, failed, waiting_children };
    Ok(Overview { paused: paused > 0, counts })
}
