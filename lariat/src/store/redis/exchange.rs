//! A worker's exchange and its wait.

use std::fmt;
use std::time::Duration;

use redis::Value;
use rmp_serde::Deserializer;
use rmp_serde::decode::ReadRefReader;
use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};

use super::args::{Arg, lane_number, ms, number, owned, text};
use super::codec;
use super::connect::Link;
use super::keys::Keys;
use super::reply::{self, Text, bad_reply};
use super::script::Script;
use crate::error::{Error, ErrorKind, Refusal};
use crate::id::JobId;
use crate::job::{JobRecord, Keep};
use crate::store::exchange::{
    DelayedAttempt, Dropped, Exchange, Exchanged, Failure, Hint, Lease, Settle, Taken, Transition, Verdict, Woken,
};
use crate::time::Timestamp;

/// Arguments before the outcomes, and for each outcome: as in `lua/exchange.lua`.
const HEAD: usize = 12;
const EACH: usize = 6;

pub(super) async fn exchange(
    link: &Link,
    keys: &Keys,
    exchange: &Exchange,
    deadline: Duration,
) -> Result<Exchanged, Error> {
    let script = Script::named("exchange")?;
    let lane = keys.lane(&exchange.call.base);
    let value = script.run(link, &[keys.base.as_str(), &lane], &arguments(exchange), deadline).await?;
    decode(&value, exchange)
}

fn arguments(exchange: &Exchange) -> Vec<Arg<'_>> {
    let Lease { first, lock_duration, worker } = &exchange.lease;
    let limiter = exchange.limiter;
    let mut args: Vec<Arg<'_>> = Vec::with_capacity(HEAD + EACH * exchange.outcomes.len());
    args.extend([
        lane_number(exchange.call.number),
        number(exchange.now.as_millis()),
        ms(*lock_duration),
        number(exchange.want),
        owned(format!("{}:", exchange.call.base)),
        number(first),
        text(worker.as_deref().unwrap_or_default()),
        limiter.map(|limit| number(limit.max)).unwrap_or_default(),
        limiter.map(|limit| ms(limit.duration)).unwrap_or_default(),
        exchange.metrics.map(number).unwrap_or_default(),
        text(if exchange.wake_another { "1" } else { "" }),
        number(last_due(exchange.now)),
    ]);
    for outcome in &exchange.outcomes {
        push_outcome(&mut args, outcome);
    }
    args
}

/// The highest score in `delayed` that is due: a millisecond has 4096 places.
fn last_due(now: Timestamp) -> i64 {
    now.as_millis().saturating_add(1).saturating_mul(4096) - 1
}

fn push_outcome<'a>(args: &mut Vec<Arg<'a>>, outcome: &'a Settle) {
    let (kind, value, rule, more) = match &outcome.to {
        Transition::Complete { value, keep } => ("complete", text(value.get()), rule(*keep), text("")),
        Transition::Fail { failure, keep, attempts } => {
            let more = format!("{attempts} {}", traces(failure));
            ("fail", text(&failure.reason), rule(*keep), owned(more))
        }
        Transition::Retry { failure, lifo } => {
            ("retry", text(&failure.reason), text(if *lifo { "R" } else { "L" }), owned(traces(failure)))
        }
        Transition::Delay { delay, attempt: DelayedAttempt::Failed(failure) } => {
            ("backoff", text(&failure.reason), ms(*delay), owned(traces(failure)))
        }
        Transition::Delay { delay, attempt: DelayedAttempt::NotUsed } => ("delay", text(""), ms(*delay), text("")),
        Transition::WaitForChildren => ("children", text(""), text(""), text("")),
        Transition::PutBack => ("back", text(""), text(""), text("")),
    };
    args.extend([text(kind), text(outcome.id.as_str()), text(&outcome.token), value, rule, more]);
}

/// A retention rule as `lua/lib/retention.lua` reads it; empty for one that keeps all, `0` for one that keeps none.
fn rule(keep: Keep) -> Arg<'static> {
    match keep {
        Keep { count: Some(0), .. } => text("0"),
        Keep { count: None, age: None, .. } => text(""),
        Keep { count, age, limit } => {
            let part = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
            owned(format!("{} {} {}", part(count), part(age.map(|age| age.as_secs())), part(limit)))
        }
    }
}

fn traces(failure: &Failure) -> String {
    serde_json::Value::from(failure.stacktrace.clone()).to_string()
}

/// How the script wrote verdicts: a count where all were accepted.
#[derive(Deserialize)]
#[serde(untagged)]
enum Verdicts<'a> {
    AllAccepted(usize),
    #[serde(borrow)]
    Each(Vec<Code<'a>>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Code<'a> {
    Number(i64),
    #[serde(borrow)]
    Words(Text<'a>),
}

type Parts<'a> = Deserializer<ReadRefReader<'a, [u8]>>;

fn decode(value: &Value, exchange: &Exchange) -> Result<Exchanged, Error> {
    let bytes = reply::bytes(value)?;
    let mut parts = Deserializer::from_read_ref(bytes);
    let how: Text<'_> = next(&mut parts)?;
    if how.0 == b"stale" {
        return Err(Error::new(ErrorKind::Store, "a newer call of the same lane has been answered already"));
    }
    let verdicts: Verdicts<'_> = next(&mut parts)?;
    let problems: Vec<(Text<'_>, Text<'_>)> = next(&mut parts)?;
    let hint: Text<'_> = next(&mut parts)?;
    let hint_value: Option<f64> = next(&mut parts)?;
    let jobs: usize = next(&mut parts)?;
    let verdicts = match verdicts {
        Verdicts::AllAccepted(count) => vec![Verdict::Accepted; count],
        Verdicts::Each(codes) => codes.iter().map(verdict).collect(),
    };
    if verdicts.len() != exchange.outcomes.len() {
        return Err(bad_reply("another number of verdicts than of outcomes"));
    }
    let fresh = how.0 == b"new";
    let mut dropped: Vec<Dropped> =
        problems.iter().map(|(id, why)| Dropped { id: id.to_string(), why: why.to_string() }).collect();
    let mut taken_jobs = Vec::with_capacity(jobs);
    for _ in 0..jobs {
        match taken(&mut parts, exchange, fresh)? {
            Ok(job) => taken_jobs.push(job),
            Err(nameless) => dropped.push(nameless),
        }
    }
    Ok(Exchanged { verdicts, jobs: taken_jobs, hint: read_hint(hint, hint_value), dropped })
}

fn next<'a, T: Deserialize<'a>>(parts: &mut Parts<'a>) -> Result<T, Error> {
    T::deserialize(parts).map_err(|e| bad_reply("MessagePack of another shape").because(e))
}

fn verdict(code: &Code<'_>) -> Verdict {
    match *code {
        Code::Number(0) => Verdict::Accepted,
        Code::Number(1) => Verdict::Resume,
        Code::Number(code) => Refusal::from_code(code)
            .map_or_else(|| Verdict::Broken(format!("the store answered with code {code}")), Verdict::Refused),
        Code::Words(words) => Verdict::Broken(words.to_string()),
    }
}

fn read_hint(hint: Text<'_>, value: Option<f64>) -> Hint {
    let value = codec::whole(value).unwrap_or_default();
    match hint.0 {
        b"again" => Hint::Again,
        b"due" => Hint::DueAt(Timestamp::from_millis(i64::try_from(value).unwrap_or(i64::MAX))),
        b"limited" => Hint::LimitedFor(Duration::from_millis(value)),
        b"paused" => Hint::Paused,
        _ => Hint::Wait,
    }
}

/// The fields of a record: an array of names and values by turns.
struct Fields<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("fields and values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(parts.size_hint().map_or(0, |length| (length / 2).min(64)));
                while let Some((field, value)) =
                    parts.next_element::<Text<'de>>()?.zip(parts.next_element::<Text<'de>>()?)
                {
                    fields.push((field.0, value.0));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_seq(Pairs)
    }
}

/// One job. A fresh one was read just before it became active: what that changed is added.
///
/// A job whose id no client can name is not run. It must not be an error either: the call would be repeated for ever.
fn taken(parts: &mut Parts<'_>, exchange: &Exchange, fresh: bool) -> Result<Result<Taken, Dropped>, Error> {
    let place: u64 = next(parts)?;
    let id: Text<'_> = next(parts)?;
    let Fields(fields) = next(parts)?;
    let token = format!("{}:{}", exchange.call.base, exchange.lease.first + place).into();
    let Some(id) = std::str::from_utf8(id.0).ok().and_then(|id| JobId::existing(id).ok()) else {
        return Ok(Err(Dropped { id: id.to_string(), why: "its id is empty or not UTF-8".to_owned() }));
    };
    let mut record = codec::record(&id, fields);
    if fresh && let Ok(record) = &mut record {
        activated(record, exchange);
    }
    Ok(Ok(Taken { id, token, record }))
}

fn activated(record: &mut JobRecord, exchange: &Exchange) {
    record.processed_on = Some(exchange.now);
    record.attempts_started = record.attempts_started.saturating_add(1);
    if let Some(worker) = &exchange.lease.worker {
        record.processed_by = Some(worker.as_ref().to_owned());
    }
}

/// What woke a wait: the member of the marker, and its score.
pub(super) fn woken(value: &Value) -> Result<Woken, Error> {
    let Some(parts) = reply::parts_or_nil(value)? else { return Ok(Woken::TimedOut) };
    let [_, member, score] = parts else { return Err(bad_reply("a popped marker without a score")) };
    if reply::bytes(member)? != b"1" {
        return Ok(Woken::Ready);
    }
    let due = codec::whole(reply::double(score)).unwrap_or_default();
    Ok(Woken::DueAt(Timestamp::from_millis(i64::try_from(due).unwrap_or(i64::MAX))))
}

/// The command that waits: a timeout of 0 would be for ever.
pub(super) fn wait_command(keys: &Keys, longest: Duration) -> redis::Cmd {
    let mut command = redis::cmd("BZPOPMIN");
    command.arg(keys.marker()).arg(format!("{:.3}", longest.as_secs_f64().max(0.001)));
    command
}
