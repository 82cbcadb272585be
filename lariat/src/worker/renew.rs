//! The calls that renew locks, within a span.

use std::sync::Arc;
use std::time::Duration;

use lariat_lock::{BoxFuture, Claim, LockStore, StoreError, Verdict};
use tracing::Instrument as _;

use crate::telemetry::{self, operation};

/// A queue's locks, whose renewals are told to `tracing`: on the lock thread, so only a global subscriber hears of them.
pub(crate) struct ToldLocks {
    pub queue: Arc<str>,
    pub locks: Arc<dyn LockStore>,
}

impl LockStore for ToldLocks {
    fn extend<'a>(
        &'a self,
        claims: &'a [Claim],
        lock_duration: Duration,
    ) -> BoxFuture<'a, Result<Vec<Verdict>, StoreError>> {
        let queue = &*self.queue;
        let span = operation!(telemetry::EXTEND_LOCKS, queue, telemetry::LOCKS => claims.len());
        Box::pin(self.locks.extend(claims, lock_duration).instrument(span))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use lariat_lock::testing::ScriptedStore;
    use tracing_subscriber::fmt::format::FmtSpan;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_renewal_is_told_with_how_many_locks_and_no_token() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_span_events(FmtSpan::NEW)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let locks = Arc::new(ScriptedStore::new());
        let locks = ToldLocks { queue: "mail".into(), locks };
        let claims = [Claim::new("7", "secret:7"), Claim::new("8", "secret:8")];
        let verdicts = locks.extend(&claims, Duration::from_secs(1)).await.unwrap();
        assert_eq!(verdicts.len(), 2);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains(telemetry::EXTEND_LOCKS) && text.contains(&format!("{}=2", telemetry::LOCKS)), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
