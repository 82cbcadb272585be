//! What a lock manager asks of the place where the locks live.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A boxed future; one allocation is noise beside a round trip, and keeps the manager free of type parameters.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One lock as the store knows it: what is locked, and the proof of who holds it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// What is locked.
    pub id: Arc<str>,
    /// Proof of holding it. A secret of a kind: `Debug` shows its last four characters only.
    pub token: Arc<str>,
}

impl Claim {
    /// A claim on `id`, held by `token`.
    pub fn new(id: impl Into<Arc<str>>, token: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), token: token.into() }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("id", &self.id).field("token", &token_tail(&self.token)).finish()
    }
}

/// The last four characters of a token: enough to match two lines of a log, too little to use.
pub(crate) fn token_tail(token: &str) -> String {
    let skipped = token.chars().count().saturating_sub(4);
    let tail = token.chars().skip(skipped);
    if skipped == 0 { tail.collect() } else { std::iter::once('…').chain(tail).collect() }
}

/// What the store says about one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The token held the lock, and holds it for a full lock duration more.
    Extended,
    /// Nobody holds the lock. Final: it is not taken anew, since somebody may have held it in between.
    Missing,
    /// Another token holds the lock. Final.
    Taken,
}

/// A call that brought no answer. It means *unknown*, never *lost*: the call is repeated while trust lasts.
#[derive(Debug)]
pub struct StoreError(Box<dyn Error + Send + Sync>);

impl StoreError {
    /// Wraps the cause: any error, or a text.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Where the locks live.
///
/// The one method must be **repeatable** (the same claims may be sent again after an unknown outcome) and must never
/// take a lock that is not held: only then is a negative verdict final.
///
/// The future is polled on the lock thread, inside a Tokio runtime of one thread, and
///
/// - must not block that thread: every lock of the process waits behind it;
/// - does its I/O best on a connection opened inside this call and kept, so that the connection is driven by the lock
///   thread too and goes on while the program's own runtime is blocked;
/// - is dropped when its deadline passes, at any await point; the next call must work regardless.
pub trait LockStore: Send + Sync + 'static {
    /// Extends each claim to `lock_duration` from now if its token still holds the lock.
    ///
    /// One batched call of at most [`MAX_CLAIMS`](crate::MAX_CLAIMS) claims; one verdict for each, in order. Another
    /// number of verdicts is taken as an error.
    fn extend<'a>(
        &'a self,
        claims: &'a [Claim],
        lock_duration: Duration,
    ) -> BoxFuture<'a, Result<Vec<Verdict>, StoreError>>;
}

impl<S: LockStore + ?Sized> LockStore for Arc<S> {
    fn extend<'a>(
        &'a self,
        claims: &'a [Claim],
        lock_duration: Duration,
    ) -> BoxFuture<'a, Result<Vec<Verdict>, StoreError>> {
        (**self).extend(claims, lock_duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_token() {
        let shown = format!("{:?}", Claim::new("7", "0b9f7a52-secret:1234"));
        assert!(shown.contains("1234") && !shown.contains("secret"), "{shown}");
        assert_eq!(token_tail("ab"), "ab");
        assert_eq!(token_tail("äöüßx"), "…öüßx");
    }

    #[test]
    fn error_keeps_the_text_of_its_cause() {
        assert_eq!(StoreError::new("connection reset").to_string(), "connection reset");
    }
}
