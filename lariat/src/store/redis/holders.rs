//! Who holds jobs, and who is connected to take some.

use std::time::Duration;

use redis::Value;

use super::connect::Link;
use super::keys::Keys;
use super::page::place;
use super::reply::{self, bad_reply};
use super::script::Script;
use crate::error::Error;
use crate::id::JobId;
use crate::store::view::{HeldJob, WorkerInfo, masked};

pub(super) async fn held(link: &Link, keys: &Keys, most: u64, deadline: Duration) -> Result<Vec<HeldJob>, Error> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let value = Script::named("holders")?.run(link, &[&keys.base], &[place(most)], deadline).await?;
    reply::parts(&value)?.iter().map(held_job).collect()
}

fn held_job(entry: &Value) -> Result<HeldJob, Error> {
    let [id, token, name, since, worker, life] = reply::parts(entry)? else {
        return Err(bad_reply("a held job of another shape"));
    };
    Ok(HeldJob {
        id: JobId::existing(reply::text(id)?)?,
        name: reply::text_or_nil(name)?,
        token: reply::text_or_nil(token)?.map(|token| masked(&token)),
        worker: reply::text_or_nil(worker)?,
        since: reply::instant(since),
        left: u64::try_from(reply::integer(life)?).ok().map(Duration::from_millis),
    })
}

/// Every client that bears one of the names that workers of this queue give their waiting connection.
pub(super) async fn workers(link: &Link, keys: &Keys, deadline: Duration) -> Result<Vec<WorkerInfo>, Error> {
    let clients = link.call(redis::cmd("CLIENT").arg("LIST"), deadline).await?;
    let clients = reply::text(&clients)?;
    Ok(clients.lines().filter_map(|client| worker(client, &keys.client_names())).collect())
}

/// One line of CLIENT LIST: words of the form `name=value`.
fn worker(client: &str, names: &[String]) -> Option<WorkerInfo> {
    let word = |name: &str| client.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let seconds = |name| Duration::from_secs(word(name).and_then(|text| text.parse().ok()).unwrap_or(0));
    let client_name = word("name")?;
    let name = names.iter().find_map(|known| match client_name.strip_prefix(known.as_str())? {
        "" => Some(None),
        more => more.strip_prefix(":w:").map(|worker| Some(worker.to_owned())),
    })?;
    Some(WorkerInfo {
        name,
        address: word("addr").unwrap_or_default().to_owned(),
        connected_for: seconds("age"),
        idle_for: seconds("idle"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_known_by_their_names() {
        let names = ["bull:bWFpbA==".to_owned(), "bull:mail".to_owned()];
        let seen = |name: &str| {
            let line = format!("id=3 addr=127.0.0.1:5 laddr=127.0.0.1:1 fd=8 name={name} age=12 idle=3 flags=b db=0");
            worker(&line, &names).map(|worker| {
                assert_eq!((worker.address.as_str(), worker.connected_for.as_secs()), ("127.0.0.1:5", 12));
                assert_eq!(worker.idle_for.as_secs(), 3);
                worker.name
            })
        };
        assert_eq!(seen("bull:bWFpbA=="), Some(None));
        assert_eq!(seen("bull:mail"), Some(None));
        assert_eq!(seen("bull:bWFpbA==:w:ann"), Some(Some("ann".to_owned())));
        assert_eq!(seen("bull:mail:w:a:b"), Some(Some("a:b".to_owned())));
        for stranger in ["", "bull:bWFpbA==:qe", "bull:bWFpbA=", "bull:mailing", "x:mail", "bull:mail:other"] {
            assert_eq!(seen(stranger), None, "{stranger:?}");
        }
    }
}
