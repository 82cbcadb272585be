//! The clock that locks are measured with. It counts the time that the machine was suspended and knows no steps; it means
//! something within one boot only, so the file notes which boot its times belong to.

use std::sync::OnceLock;
use std::time::Duration;

use lariat_lock::Instant;

/// Milliseconds of this boot.
pub(super) fn boot_ms() -> i64 {
    i64::try_from(Instant::now().as_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// A span in whole milliseconds.
pub(super) fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds as a span; nothing where they are below 0.
pub(super) fn span(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// The name of this boot of this machine. Where the system gives none, all boots count as one: times of an earlier one
/// then end when this one has lasted as long.
pub(super) fn boot_id() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| read_boot_id().unwrap_or_default())
}

#[cfg(not(target_vendor = "apple"))]
fn read_boot_id() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

#[cfg(target_vendor = "apple")]
fn read_boot_id() -> Option<String> {
    let found = std::process::Command::new("/usr/sbin/sysctl").args(["-n", "kern.bootsessionuuid"]).output().ok()?;
    String::from_utf8(found.stdout).ok().map(|id| id.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_and_the_boot_has_a_name() {
        let first = boot_ms();
        assert!(first > 0 && boot_ms() >= first);
        assert_eq!(boot_id(), boot_id());
        assert!(!boot_id().is_empty());
    }
}
