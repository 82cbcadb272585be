//! Leases kept alive.
#![allow(missing_docs)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[derive(Clone, Debug)]
pub struct Claim {
    pub id: Arc<str>,
    pub token: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Extended,
    Missing,
    Taken,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(Box<dyn std::error::Error + Send + Sync>);

impl StoreError {
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
        StoreError(source.into())
    }
}

pub trait LockStore: Send + Sync + 'static {
    fn extend<'a>(
        &'a self,
        claims: &'a [Claim],
        lock_duration: Duration,
    ) -> BoxFuture<'a, Result<Vec<Verdict>, StoreError>>;
}
