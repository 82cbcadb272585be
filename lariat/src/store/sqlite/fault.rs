//! What goes wrong in a file, in the words and kinds of this crate.

use rusqlite::ffi::{self, ErrorCode};

use crate::error::{Error, ErrorKind, Refusal};
use crate::store::url::SqliteAddress;

/// Why a request was not carried out. Nothing of it stays in the file.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite failed.
    Sql(rusqlite::Error),
    /// The store says no.
    Refused(Refusal),
    /// Something of ours.
    Other(Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sql(error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Refused(refusal)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Other(error)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        match fault {
            Fault::Sql(error) => explain(error),
            Fault::Refused(refusal) => Error::refused(refusal),
            Fault::Other(error) => error,
        }
    }
}

/// Somebody else writes, or is about to; it passes.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// An error of SQLite's for people.
pub(super) fn explain(error: rusqlite::Error) -> Error {
    let (kind, words) = kind_and_words(&error);
    Error::new(kind, words).because(error)
}

fn kind_and_words(error: &rusqlite::Error) -> (ErrorKind, &'static str) {
    let Some(code) = error.sqlite_error_code() else {
        return (ErrorKind::Data, "the file holds something that this version does not understand");
    };
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            (ErrorKind::Unreachable, "the file was in use by other processes all the time")
        }
        ErrorCode::ReadOnly => (ErrorKind::Denied, "this user may not write the file, or in its folder"),
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            (ErrorKind::Denied, "this user may not use the file")
        }
        ErrorCode::DiskFull => (ErrorKind::Store, "the disk is full: nothing was written"),
        ErrorCode::CannotOpen => (
            ErrorKind::Store,
            "the file, or one of those beside it, cannot be opened: may this user write in its folder?",
        ),
        ErrorCode::NotADatabase => (ErrorKind::Invalid, "the file is no SQLite database"),
        ErrorCode::DatabaseCorrupt => (ErrorKind::Store, "the file is damaged: keep it and restore a backup"),
        ErrorCode::SystemIoFailure => (ErrorKind::Store, "reading or writing the file failed"),
        ErrorCode::OutOfMemory => (ErrorKind::Store, "SQLite is out of memory"),
        ErrorCode::TooBig => (ErrorKind::Store, "the job is too large for the file"),
        _ => (ErrorKind::Store, "SQLite refused the call"),
    }
}

/// With the file's name, except for what the store says of a job.
pub(super) fn named(error: Error, address: &SqliteAddress) -> Error {
    match error.kind() {
        ErrorKind::Refused(_) => error,
        _ => error.in_store(address),
    }
}

/// A commit that failed. One that failed in reading or writing the file may hold after a crash, all the same.
pub(super) fn explain_commit(error: rusqlite::Error) -> Error {
    match error.sqlite_error() {
        Some(ffi::Error { code: ErrorCode::SystemIoFailure, .. }) => {
            Error::new(ErrorKind::Unknown, "writing the file failed at the last moment").because(error)
        }
        _ => explain(error),
    }
}
