//! What the server says of itself: CPU, calls, slow scripts, queues and locks.

use std::collections::HashMap;

use redis::{Connection, Value, cmd, pipe};

use crate::Result;

/// The commands that run scripts.
const SCRIPTS: &[&str] = &["evalsha", "eval", "fcall"];

/// The server's counters at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter {
    cpu_us: f64,
    commands: HashMap<String, (f64, f64)>,
}

impl Meter {
    pub(crate) fn read(redis: &mut Connection) -> Result<Self> {
        let cpu: String = cmd("INFO").arg("cpu").query(redis)?;
        let seconds = |field: &str| {
            cpu.lines().find_map(|line| line.strip_prefix(field)?.trim().parse::<f64>().ok()).unwrap_or(0.0)
        };
        let stats: String = cmd("INFO").arg("commandstats").query(redis)?;
        Ok(Self {
            cpu_us: (seconds("used_cpu_user:") + seconds("used_cpu_sys:")) * 1e6,
            commands: stats.lines().filter_map(command).collect(),
        })
    }

    /// Server CPU since `before`, user and system, in microseconds.
    pub(crate) fn cpu_us(&self, before: &Self) -> f64 {
        self.cpu_us - before.cpu_us
    }

    /// Script calls since `before`.
    pub(crate) fn scripts(&self, before: &Self) -> f64 {
        self.calls(before, SCRIPTS)
    }

    /// Time spent in scripts since `before`, in microseconds by the server's clock.
    pub(crate) fn in_scripts_us(&self, before: &Self) -> f64 {
        SCRIPTS.iter().map(|name| self.of(name).1 - before.of(name).1).sum()
    }

    /// Calls of these commands since `before`, those made by scripts included.
    pub(crate) fn calls(&self, before: &Self, names: &[&str]) -> f64 {
        names.iter().map(|name| self.of(name).0 - before.of(name).0).sum()
    }

    /// All calls that came over a connection since `before`, but for those of a meter.
    pub(crate) fn outside_calls(&self, before: &Self) -> f64 {
        const OUTSIDE: &[&str] =
            &["evalsha", "eval", "fcall", "bzpopmin", "ping", "client|setname", "client|setinfo", "xread", "subscribe"];
        self.calls(before, OUTSIDE)
    }

    /// Commands by calls since `before`, most first: for people who look for what costs.
    pub(crate) fn breakdown(&self, before: &Self) -> Vec<(String, f64, f64)> {
        let mut all: Vec<_> = self
            .commands
            .iter()
            .map(|(name, now)| (name.clone(), now.0 - before.of(name).0, now.1 - before.of(name).1))
            .filter(|(_, calls, _)| *calls > 0.0)
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all
    }

    fn of(&self, name: &str) -> (f64, f64) {
        self.commands.get(name).copied().unwrap_or_default()
    }
}

/// `cmdstat_evalsha:calls=3,usec=120,…` as name, calls, microseconds.
fn command(line: &str) -> Option<(String, (f64, f64))> {
    let (name, fields) = line.strip_prefix("cmdstat_")?.split_once(':')?;
    let field = |wanted: &str| fields.split(',').find_map(|f| f.strip_prefix(wanted)?.parse::<f64>().ok());
    Some((name.to_owned(), (field("calls=")?, field("usec=")?)))
}

/// Forgets the slow scripts seen so far.
pub(crate) fn forget_slow(redis: &mut Connection) -> Result<()> {
    Ok(cmd("SLOWLOG").arg("RESET").query(redis)?)
}

/// The slowest script since `forget_slow`, in milliseconds. The server notes those above 0.5 ms only; 0.5 means that none was.
pub(crate) fn slowest_ms(redis: &mut Connection) -> Result<f64> {
    let entries: Vec<Vec<Value>> = cmd("SLOWLOG").arg("GET").arg(-1).query(redis)?;
    let slowest = entries.iter().filter_map(|entry| {
        let (Value::Int(us), Value::Array(args)) = (entry.get(2)?, entry.get(3)?) else { return None };
        let Value::BulkString(name) = args.first()? else { return None };
        name.to_ascii_lowercase().starts_with(b"eval").then_some(*us)
    });
    #[allow(clippy::cast_precision_loss, reason = "microseconds of one script")]
    Ok(slowest.max().map_or(0.5, |us| us as f64 / 1000.0))
}

/// Length of a queue's list or set.
pub(crate) fn length(redis: &mut Connection, queue: &str, state: &str) -> Result<usize> {
    let name = if matches!(state, "wait" | "active") { "LLEN" } else { "ZCARD" };
    Ok(cmd(name).arg(format!("bull:{queue}:{state}")).query(redis)?)
}

/// The locks of a queue's active jobs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Locks {
    pub(crate) active: usize,
    /// Active jobs without a lock.
    pub(crate) missing: usize,
    /// The shortest rest of a lock's life, in milliseconds.
    pub(crate) shortest_ms: i64,
}

impl Locks {
    /// Looks at every lock of the queue's active jobs.
    pub(crate) fn read(redis: &mut Connection, queue: &str) -> Result<Self> {
        let ids: Vec<String> = cmd("LRANGE").arg(format!("bull:{queue}:active")).arg(0).arg(-1).query(redis)?;
        let mut locks = Self { active: ids.len(), missing: 0, shortest_ms: i64::MAX };
        for some in ids.chunks(500) {
            let mut ask = pipe();
            for id in some {
                ask.cmd("PTTL").arg(format!("bull:{queue}:{id}:lock"));
            }
            for left in ask.query::<Vec<i64>>(redis)? {
                if left < 0 {
                    locks.missing += 1;
                } else {
                    locks.shortest_ms = locks.shortest_ms.min(left);
                }
            }
        }
        Ok(locks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_commandstats_is_read() {
        let line = "cmdstat_client|setname:calls=2,usec=7,usec_per_call=3.50,rejected_calls=0,failed_calls=0";
        assert_eq!(command(line), Some(("client|setname".into(), (2.0, 7.0))));
        assert_eq!(command("# Commandstats"), None);
    }
}
