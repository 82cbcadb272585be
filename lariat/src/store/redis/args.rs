//! Arguments of scripts: borrowed where they can be.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

pub(super) type Arg<'a> = Cow<'a, [u8]>;

pub(super) fn text(text: &str) -> Arg<'_> {
    Cow::Borrowed(text.as_bytes())
}

pub(super) fn owned(text: String) -> Arg<'static> {
    Cow::Owned(text.into_bytes())
}

pub(super) fn number(number: impl Display) -> Arg<'static> {
    owned(format!("{number}"))
}

/// A span in whole milliseconds.
pub(super) fn ms(span: Duration) -> Arg<'static> {
    number(span.as_millis())
}

/// The number of a lane's call, so long that text compares as numbers do.
pub(super) fn lane_number(number: u64) -> Arg<'static> {
    owned(format!("{number:016}"))
}
