//! Renewal of locks.

use std::time::Duration;

use lariat_lock::{BoxFuture, Claim, LockStore, StoreError, Verdict};

use super::args::{ms, text};
use super::connect::Link;
use super::keys::Keys;
use super::reply::{self, bad_reply};
use super::script::Script;
use crate::error::Error;

/// The manager ends a call long before.
const DEADLINE: Duration = Duration::from_secs(10);

/// The locks of one queue, over a link that lives on the lock thread.
pub(super) struct RedisLocks {
    link: Link,
    keys: Keys,
}

impl RedisLocks {
    pub(super) fn new(link: Link, keys: Keys) -> RedisLocks {
        RedisLocks { link, keys }
    }

    async fn extend_all(&self, claims: &[Claim], lock_duration: Duration) -> Result<Vec<Verdict>, Error> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let mut args = Vec::with_capacity(1 + 2 * claims.len());
        args.push(ms(lock_duration));
        for claim in claims {
            args.extend([text(&claim.id), text(&claim.token)]);
        }
        let value = Script::named("extend")?.run(&self.link, &[&self.keys.base], &args, DEADLINE).await?;
        let codes = reply::bytes(&value)?;
        if codes.is_empty() {
            return Ok(vec![Verdict::Extended; claims.len()]);
        }
        if codes.len() != claims.len() {
            return Err(bad_reply("another number of verdicts than of locks"));
        }
        codes
            .iter()
            .map(|code| match code {
                b'0' => Ok(Verdict::Extended),
                b'1' => Ok(Verdict::Missing),
                b'2' => Ok(Verdict::Taken),
                _ => Err(bad_reply("an unknown verdict")),
            })
            .collect()
    }
}

impl LockStore for RedisLocks {
    fn extend<'a>(
        &'a self,
        claims: &'a [Claim],
        lock_duration: Duration,
    ) -> BoxFuture<'a, Result<Vec<Verdict>, StoreError>> {
        Box::pin(async move { self.extend_all(claims, lock_duration).await.map_err(StoreError::new) })
    }
}
