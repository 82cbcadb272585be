//! BullMQ's layout on a Redis or Valkey server.

mod connect;
mod lua;
mod script;

use std::sync::Arc;

use lariat_lock::LockStore;

use super::url::Address;
use super::{Answer, Backend, QueueBackend};
use crate::error::{Error, ErrorKind};
use crate::id::{Prefix, QueueName};

pub(super) struct RedisStore {
    _address: Address,
}

impl RedisStore {
    pub(super) fn new(address: Address) -> RedisStore {
        RedisStore { _address: address }
    }
}

impl Backend for RedisStore {
    fn queue(&self, _: &Prefix, _: &QueueName, _: Option<&str>) -> Result<Arc<dyn QueueBackend>, Error> {
        Err(Error::new(ErrorKind::Unsupported, "to be written"))
    }

    fn locks(&self, _: &Prefix, _: &QueueName) -> Result<Arc<dyn LockStore>, Error> {
        Err(Error::new(ErrorKind::Unsupported, "to be written"))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async { Err(Error::new(ErrorKind::Unsupported, "to be written")) })
    }
}
