//! Whether this user may do what a worker does, asked before the first job is taken.

use std::time::Duration;

use redis::Pipeline;

use super::connect::Link;
use crate::error::{Error, ErrorKind};
use crate::id::{Prefix, QueueName};

/// Tries, in one round trip, what an ACL that was made for BullMQ does not allow: a key of our own
/// (`lariat:<prefix>:<queue>:preflight`, gone after a second); and what any queue needs: its keys, and scripts.
///
/// Errors: [`Denied`](ErrorKind::Denied) names what is missing, and nothing but a change at the server will help. All
/// other kinds are those of [`Link::call`] and say nothing about the ACL.
pub(super) async fn preflight(
    link: &Link,
    prefix: &Prefix,
    queue: &QueueName,
    deadline: Duration,
) -> Result<(), Error> {
    let own = format!("lariat:{prefix}:{queue}:preflight");
    let meta = format!("{prefix}:{queue}:meta");
    let mut pipe = Pipeline::new();
    pipe.cmd("SET").arg(&own).arg(1).arg("PX").arg(1000);
    pipe.cmd("EXISTS").arg(&meta);
    pipe.cmd("EVAL").arg("return 1").arg(1).arg(&meta);
    let missing = [
        format!("write the keys lariat:*, which Lariat keeps beside BullMQ's (ACL: ~lariat:{prefix}:*)"),
        format!("read the keys of the queue (ACL: ~{prefix}:*)"),
        "run scripts (ACL: +@scripting)".to_owned(),
    ];
    let replies = link.pipeline(&pipe, deadline).await?;
    for (reply, missing) in replies.into_iter().zip(missing) {
        match reply {
            Err(error) if error.kind() == ErrorKind::Denied => {
                let words = format!("this Redis user may not {missing}");
                return Err(Error::new(ErrorKind::Denied, words).because(error).in_queue(queue));
            }
            Err(error) => return Err(error.in_queue(queue)),
            Ok(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use interop::redis::RedisServer;

    use super::*;
    use crate::store::redis::connect::Purpose;
    use crate::store::url;

    const LONG: Duration = Duration::from_secs(30);

    /// What the preflight says to a user with these rules.
    async fn said_to(rules: &[&str]) -> Result<(), Error> {
        let server = RedisServer::start();
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg("ann").arg("on").arg(">pw").arg(rules);
        command.exec(&mut server.connection()).unwrap();
        let url = format!("redis://ann:pw@127.0.0.1:{}", server.port());
        let link = Link::new(url::redis_address(&url).unwrap(), Purpose::Commands, None);
        preflight(&link, &Prefix::default(), &QueueName::new("mail").unwrap(), LONG).await
    }

    #[tokio::test]
    async fn a_user_with_both_sorts_of_keys_passes() {
        said_to(&["~bull:*", "~lariat:bull:*", "+@all"]).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        for (rules, words) in [
            (&["~bull:*", "+@all"][..], "~lariat:bull:*"),
            (&["~lariat:*", "+@all"], "(ACL: ~bull:*)"),
            (&["~*", "+@all", "-@scripting"], "+@scripting"),
            (&["~*", "+@read", "+@scripting"], "~lariat:bull:*"),
        ] {
            let error = said_to(rules).await.unwrap_err();
            assert_eq!((error.kind(), error.queue()), (ErrorKind::Denied, Some("mail")), "{error:?}");
            assert!(error.to_string().contains(words), "{rules:?}: {error}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_away_says_nothing_about_its_acl() {
        let mut server = RedisServer::start();
        server.kill();
        let link = Link::new(url::redis_address(&server.url()).unwrap(), Purpose::Commands, None);
        let answer = preflight(&link, &Prefix::default(), &QueueName::new("mail").unwrap(), LONG).await;
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unreachable);
    }
}
