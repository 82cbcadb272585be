//! What stands behind a URL's `?`.

use super::refusal::refused;
use crate::error::Error;

/// The options, by their names: each is one of `known`, and there once. Where one is not, its name is said if it can be no
/// part of a secret: a password with a `&` that is not percent-encoded goes on in what looks like the next option.
pub(super) fn read<'a>(
    url: &str,
    options: &'a str,
    known: &[&'static str],
) -> Result<Vec<(&'static str, &'a str)>, Error> {
    let mut read: Vec<(&'static str, &str)> = Vec::new();
    for pair in options.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(name) = known.iter().find(|known| **known == name) else {
            let after_secret = read.iter().any(|(before, _)| matches!(*before, "user" | "password"));
            let nameable = pair.contains('=') && is_a_name(name) && !after_secret;
            let which = if nameable { format!("the option {name}, which") } else { "an option that".to_owned() };
            return Err(refused(url, &format!("has {which} is not known: {}", listed(known))));
        };
        if read.iter().any(|(before, _)| before == name) {
            return Err(refused(url, &format!("has {name} twice")));
        }
        read.push((name, value));
    }
    Ok(read)
}

/// Whether it looks like the name of an option, rather than like a value.
fn is_a_name(text: &str) -> bool {
    (1..=24).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'-')
}

/// `a is`, `a and b are`, `a, b and c are`.
fn listed(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last} are", first.join(", ")),
        names => format!("{} is", names.concat()),
    }
}

/// Percent-decoded text; None when it is not well formed, or not UTF-8.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = rest else { return None };
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}
