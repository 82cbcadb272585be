//! Which SQLite file: `sqlite:PATH`, `sqlite::memory:`.

use std::fmt;
use std::path::PathBuf;

use super::options::{self, decoded};
use super::refusal::refused;
use crate::error::Error;

/// Which file, and what an answer promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SqliteAddress {
    pub place: SqlitePlace,
    pub durability: Durability,
    /// The file may be another program's: our tables are put beside those that are there (`?adopt=true`).
    pub adopt: bool,
}

impl SqliteAddress {
    /// In memory.
    pub(crate) const MEMORY: SqliteAddress =
        SqliteAddress { place: SqlitePlace::Memory, durability: Durability::Full, adopt: false };
}

/// Where a SQLite database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SqlitePlace {
    File(PathBuf),
    /// In memory, and gone with the store that opened it.
    Memory,
}

/// What is on the disk when a call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// All of it: it survives a power cut.
    Full,
    /// It survives the end of the process, but a power cut may undo the last moments.
    Normal,
}

impl fmt::Display for SqliteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            SqlitePlace::File(path) => write!(f, "sqlite:{}", path.display())?,
            SqlitePlace::Memory => f.write_str("sqlite::memory:")?,
        }
        f.write_str(match (self.durability, self.adopt) {
            (Durability::Full, false) => "",
            (Durability::Full, true) => "?adopt=true",
            (Durability::Normal, false) => "?durability=normal",
            (Durability::Normal, true) => "?durability=normal&adopt=true",
        })
    }
}

pub(super) fn file(url: &str, rest: &str) -> Result<SqliteAddress, Error> {
    let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
    let place = if path == ":memory:" {
        SqlitePlace::Memory
    } else {
        let path = decoded(path.strip_prefix("//").unwrap_or(path));
        let path = path.filter(|path| !path.is_empty() && !path.contains('\0') && !path.ends_with('/'));
        let path =
            path.ok_or_else(|| refused(url, "must name a file, as in sqlite:lariat.db, or be sqlite::memory:"))?;
        SqlitePlace::File(path.into())
    };
    let mut address = SqliteAddress { place, ..SqliteAddress::MEMORY };
    for (name, value) in options::read(url, options, &["durability", "adopt"])? {
        match (name, value) {
            ("durability", "full") => address.durability = Durability::Full,
            ("durability", "normal") => address.durability = Durability::Normal,
            ("durability", _) => return Err(refused(url, "must have full or normal after durability=")),
            _ if address.place == SqlitePlace::Memory => {
                return Err(refused(url, "must name a file where it has adopt="));
            }
            (_, "true") => address.adopt = true,
            (_, "false") => address.adopt = false,
            _ => return Err(refused(url, "must have true or false after adopt=")),
        }
    }
    Ok(address)
}
