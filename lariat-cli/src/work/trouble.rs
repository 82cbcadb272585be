//! At most one line a second for each cause of trouble. Pure: time comes as an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(1);

/// What has been said lately.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    causes: BTreeMap<&'static str, Lately>,
}

#[derive(Debug)]
struct Lately {
    said: Instant,
    unsaid: u64,
}

impl Troubles {
    /// Whether another line for this cause may be said now; if so, how many were not said since the last one.
    pub(crate) fn may_say(&mut self, cause: &'static str, now: Instant) -> Option<u64> {
        match self.causes.get_mut(cause) {
            Some(lately) if now.saturating_duration_since(lately.said) < EVERY => {
                lately.unsaid += 1;
                None
            }
            Some(lately) => {
                lately.said = now;
                Some(std::mem::take(&mut lately.unsaid))
            }
            None => {
                self.causes.insert(cause, Lately { said: now, unsaid: 0 });
                Some(0)
            }
        }
    }

    /// Causes of which some were not said, and it is time to say how many; this counts as saying it.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<(&'static str, u64)> {
        let mut overdue = Vec::new();
        for (cause, lately) in &mut self.causes {
            if lately.unsaid > 0 && now.saturating_duration_since(lately.said) >= EVERY {
                lately.said = now;
                overdue.push((*cause, std::mem::take(&mut lately.unsaid)));
            }
        }
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_for_each_cause() {
        let (mut troubles, begin) = (Troubles::default(), Instant::now());
        let at = |ms| begin + Duration::from_millis(ms);
        assert_eq!(troubles.may_say("failed", at(0)), Some(0));
        assert_eq!(troubles.may_say("failed", at(500)), None);
        assert_eq!(troubles.may_say("failed", at(999)), None);
        assert_eq!(troubles.may_say("lost", at(999)), Some(0));
        assert_eq!(troubles.may_say("failed", at(1000)), Some(2));
        assert!(troubles.overdue(at(2500)).is_empty());
        assert_eq!(troubles.may_say("failed", at(2500)), Some(0));
        assert_eq!(troubles.may_say("failed", at(2600)), None);
        assert!(troubles.overdue(at(2700)).is_empty());
        assert_eq!(troubles.overdue(at(3500)), [("failed", 1)]);
        assert_eq!(troubles.may_say("failed", at(3600)), None);
    }
}
