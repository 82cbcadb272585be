//! The small languages of the options' values.

use std::time::Duration;

use lariat::{Backoff, JobState, Keep, MAX_PRIORITY, RateLimit};

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "must be a duration such as 500ms, 5s, 2m or 1h30m".to_owned())
}

pub(super) fn priority(text: &str) -> Result<u32, String> {
    let priority = text.parse().ok().filter(|priority| *priority <= MAX_PRIORITY);
    priority.ok_or_else(|| format!("must be 0 to {MAX_PRIORITY}"))
}

pub(super) fn positive(text: &str) -> Result<Duration, String> {
    at_least(text, Duration::from_millis(1), "1ms")
}

pub(super) fn lock_duration(text: &str) -> Result<Duration, String> {
    at_least(text, Duration::from_secs(1), "1s")
}

pub(super) fn hold(text: &str) -> Result<Duration, String> {
    at_least(text, Duration::from_secs(3), "3s")
}

fn at_least(text: &str, least: Duration, shown: &str) -> Result<Duration, String> {
    let given = duration(text)?;
    if given < least { Err(format!("must be at least {shown}")) } else { Ok(given) }
}

pub(super) fn backoff(text: &str) -> Result<Backoff, String> {
    const RULE: &str = "must be fixed:D or exponential:D, and may end with :JITTER; for example exponential:1s:0.5";
    let mut parts = text.split(':');
    let (kind, delay, jitter) = (parts.next(), parts.next(), parts.next());
    if parts.next().is_some() {
        return Err(RULE.to_owned());
    }
    let delay = duration(delay.ok_or(RULE)?)?;
    let backoff = match kind {
        Some("fixed") => Backoff::fixed(delay),
        Some("exponential") => Backoff::exponential(delay),
        _ => return Err(RULE.to_owned()),
    };
    let Some(jitter) = jitter else { return Ok(backoff) };
    match jitter.parse::<f64>() {
        Ok(part) if (0.0..=1.0).contains(&part) => Ok(backoff.jitter(part)),
        _ => Err("the jitter must be a number between 0 and 1".to_owned()),
    }
}

pub(super) fn keep(text: &str) -> Result<Keep, String> {
    match text {
        "true" => Ok(Keep::NONE),
        _ => text.parse().map(Keep::last).map_err(|_| "must be a number of jobs, or true".to_owned()),
    }
}

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit<T>(pub(crate) Option<T>);

pub(super) fn concurrency(text: &str) -> Result<Limit<u64>, String> {
    match text.parse() {
        Ok(most) if most > 0 => Ok(Limit(Some(most))),
        Ok(_) => Err("must be at least 1; pause the queue to run none".to_owned()),
        Err(_) if text == "none" => Ok(Limit(None)),
        Err(_) => Err("must be a number of jobs, or none".to_owned()),
    }
}

pub(super) fn rate(text: &str) -> Result<Limit<RateLimit>, String> {
    const RULE: &str = "must be a number of jobs, a slash and a duration, such as 100/1m, or none";
    if text == "none" {
        return Ok(Limit(None));
    }
    let (max, window) = text.split_once('/').ok_or(RULE)?;
    let max = max.parse().map_err(|_| RULE)?;
    if max == 0 {
        return Err("must be at least 1 job; pause the queue to run none".to_owned());
    }
    let duration = positive(window).map_err(|rule| format!("{rule} behind the slash"))?;
    Ok(Limit(Some(RateLimit { max, duration })))
}

/// The state of this name.
pub(super) fn state(name: &str) -> Result<JobState, String> {
    let known = JobState::ALL.into_iter().find(|state| state.as_str() == name);
    known.ok_or_else(|| "is no state".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lariat::BackoffKind;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["", "5", "-5s", "soon", "5 parsecs"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        assert!(lock_duration("999ms").is_err());
        assert!(positive("0s").is_err());
    }

    #[test]
    fn a_backoff_has_two_or_three_parts() {
        let full = backoff("exponential:1s:0.25").unwrap();
        assert_eq!((full.kind, full.delay, full.jitter), (BackoffKind::Exponential, Duration::from_secs(1), 0.25));
        assert_eq!(backoff("fixed:2m").unwrap(), Backoff::fixed(Duration::from_secs(120)));
        for bad in ["", "fixed", "1s", "linear:1s", "fixed:1", "fixed:1s:2", "fixed:1s:nan", "fixed:1s:0.1:0"] {
            assert!(backoff(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!(concurrency("3"), Ok(Limit(Some(3))));
        assert_eq!(concurrency("none"), Ok(Limit(None)));
        for bad in ["", "0", "-1", "many", "1.5", "None"] {
            assert!(concurrency(bad).is_err(), "{bad:?}");
        }
        assert_eq!(rate("100/1m"), Ok(Limit(Some(RateLimit { max: 100, duration: Duration::from_secs(60) }))));
        assert_eq!(rate("none"), Ok(Limit(None)));
        for bad in ["", "100", "100/", "/1s", "0/1s", "-1/1s", "1/0s", "1/10us", "1/s", "1/1s/1s"] {
            assert!(rate(bad).is_err(), "{bad:?}");
        }
    }
}
