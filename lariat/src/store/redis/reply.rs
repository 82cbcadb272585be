//! Reading what scripts and commands answer.

use std::fmt;

use redis::Value;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};

use crate::error::{Error, ErrorKind};
use crate::time::Timestamp;

/// Text as Redis gives it: usually UTF-8, but nothing says so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Text<'a>(pub &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(text.as_bytes()))
            }

            fn visit_borrowed_bytes<E: serde::de::Error>(self, bytes: &'de [u8]) -> Result<Text<'de>, E> {
                Ok(Text(bytes))
            }

            fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Text<'de>, E> {
                Err(E::custom("text that is not borrowed"))
            }
        }
        deserializer.deserialize_str(Borrow).map_err(D::Error::custom)
    }
}

/// The store answered something that this version does not understand.
pub(super) fn bad_reply(what: &'static str) -> Error {
    Error::new(ErrorKind::Store, format!("Redis answered with {what}"))
}

pub(super) fn bytes(value: &Value) -> Result<&[u8], Error> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Ok(text.as_bytes()),
        _ => Err(bad_reply("something else than text")),
    }
}

pub(super) fn text(value: &Value) -> Result<String, Error> {
    Ok(String::from_utf8_lossy(bytes(value)?).into_owned())
}

pub(super) fn text_or_nil(value: &Value) -> Result<Option<String>, Error> {
    match value {
        Value::Nil => Ok(None),
        _ => text(value).map(Some),
    }
}

/// Names and their values.
pub(super) type Pairs<'a> = Vec<(&'a [u8], &'a [u8])>;

/// Names and values that come in turn.
pub(super) fn pairs(values: &[Value]) -> Result<Pairs<'_>, Error> {
    values.chunks_exact(2).map(|pair| Ok((bytes(&pair[0])?, bytes(&pair[1])?))).collect()
}

/// Milliseconds, as others stored them; None for what is no number.
pub(super) fn instant(value: &Value) -> Option<Timestamp> {
    let ms = super::codec::whole(double(value))?;
    Some(Timestamp::from_millis(i64::try_from(ms).unwrap_or(i64::MAX)))
}

pub(super) fn parts(value: &Value) -> Result<&[Value], Error> {
    parts_or_nil(value)?.ok_or_else(|| bad_reply("nothing"))
}

pub(super) fn parts_or_nil(value: &Value) -> Result<Option<&[Value]>, Error> {
    match value {
        Value::Nil => Ok(None),
        Value::Array(parts) => Ok(Some(parts)),
        _ => Err(bad_reply("something else than an array")),
    }
}

pub(super) fn integer(value: &Value) -> Result<i64, Error> {
    match value {
        Value::Int(number) => Ok(*number),
        _ => Err(bad_reply("something else than a number")),
    }
}

pub(super) fn count(value: &Value) -> Result<u64, Error> {
    Ok(u64::try_from(integer(value)?).unwrap_or(0))
}

/// A double, which is text before RESP3.
pub(super) fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Double(number) => Some(*number),
        #[expect(clippy::cast_precision_loss, reason = "a score is a double anyway")]
        Value::Int(number) => Some(*number as f64),
        other => std::str::from_utf8(bytes(other).ok()?).ok()?.parse().ok(),
    }
}
