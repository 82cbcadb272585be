//! Key names of one queue. Only those that calls name; the scripts make the others from the base key.

use crate::id::{Prefix, QueueName};

/// The names of one queue in Redis.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// `<prefix>:<queue>:`, the beginning of every key of the queue. Scripts get it as their first key: on a cluster
    /// the braces that choose the slot are in it.
    pub base: String,
    /// `lariat:<prefix>:<queue>:`, the same for keys of our own, outside BullMQ's name space.
    own: String,
    prefix: String,
    queue: String,
}

impl Keys {
    pub(super) fn new(prefix: &Prefix, queue: &QueueName) -> Keys {
        Keys {
            base: format!("{prefix}:{queue}:"),
            own: format!("lariat:{prefix}:{queue}:"),
            prefix: prefix.to_string(),
            queue: queue.to_string(),
        }
    }

    /// What blocked workers wait for.
    pub(super) fn marker(&self) -> String {
        format!("{}marker", self.base)
    }

    /// A lane's last call and its answer.
    pub(super) fn lane(&self, base: &str) -> String {
        format!("{}lane:{base}", self.own)
    }

    /// What one search for stalled jobs suspects.
    pub(super) fn suspects(&self) -> String {
        format!("{}suspects", self.own)
    }

    /// The event stream.
    pub(super) fn events(&self) -> String {
        format!("{}events", self.base)
    }

    /// The name of a connection that waits for events.
    pub(super) fn listener_name(&self) -> String {
        format!("{}:{}:qe", self.prefix, base64(self.queue.as_bytes()))
    }

    /// What the names of the waiting connections of this queue's workers begin with. Some clients do not code the name.
    pub(super) fn client_names(&self) -> [String; 2] {
        [self.client_name(None), format!("{}:{}", self.prefix, self.queue)]
    }

    /// The name of a worker's waiting connection, by which BullMQ lists workers.
    pub(super) fn client_name(&self, worker: Option<&str>) -> String {
        let queue = base64(self.queue.as_bytes());
        match worker {
            // CLIENT SETNAME refuses blanks and control characters.
            Some(worker) => {
                let worker: String = worker.chars().map(|c| if ('!'..='~').contains(&c) { c } else { '_' }).collect();
                format!("{}:{queue}:w:{worker}", self.prefix)
            }
            None => format!("{}:{queue}", self.prefix),
        }
    }
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let all = chunk.iter().fold(0_u32, |all, byte| (all << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = (all >> (18 - 6 * place)) & 63;
            text.push(if place <= chunk.len() { char::from(DIGITS[digit as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standard_one() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy"), ("ÿ>?", "w78+Pw==")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn names_keep_braces_and_own_keys_lie_outside() {
        let keys = Keys::new(&Prefix::new("{p}").unwrap(), &QueueName::new("mail").unwrap());
        assert_eq!(keys.base, "{p}:mail:");
        assert_eq!(keys.marker(), "{p}:mail:marker");
        assert_eq!(keys.lane("u"), "lariat:{p}:mail:lane:u");
        assert_eq!(keys.client_name(None), "{p}:bWFpbA==");
        assert_eq!(keys.client_name(Some("a b")), "{p}:bWFpbA==:w:a_b");
    }
}
