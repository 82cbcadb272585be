//! What a store's URL means.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// Where a Redis server is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub host: String,
    pub port: u16,
    pub db: i64,
    pub user: Option<String>,
    pub password: Option<String>,
}

/// Without the password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis://{}:{}/{}", self.host, self.port, self.db)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads a store URL; says what is built and what is not.
pub(crate) fn parse(url: &str) -> Result<Address, Error> {
    let _ = url;
    Err(Error::new(ErrorKind::Unsupported, "to be written"))
}
