//! What can be wrong with a journal on disk: when it is opened, and while it is used.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::journal::StoreError;

/// Why a journal was not opened. Nothing was changed.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has the directory.
    Taken {
        /// The directory.
        directory: PathBuf,
        /// That process, if it said so.
        pid: Option<u32>,
    },
    /// There is no journal.
    Missing(PathBuf),
    /// The file is something else.
    NotAJournal(PathBuf),
    /// The file is of another release.
    Format {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: i32,
        /// The format that this release reads and writes.
        known: i32,
    },
    /// It is damaged in a way that leaves nothing to go on from.
    Damaged {
        /// The file.
        file: PathBuf,
        /// The part, as a sentence.
        part: String,
    },
    /// The system does not let it be read or written.
    Unusable {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        cause: String,
    },
}

impl OpenError {
    pub(super) fn unusable(path: &Path, cause: impl fmt::Display) -> Self {
        OpenError::Unusable {
            path: path.to_owned(),
            cause: cause.to_string(),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Taken { directory, pid } => {
                let owner = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
                write!(
                    f,
                    "another fourcast{owner} uses {}; stop it, or give this one another journal.path",
                    directory.display()
                )
            }
            OpenError::Missing(file) => write!(f, "there is no journal at {}", file.display()),
            OpenError::NotAJournal(file) => write!(
                f,
                "{} is no journal of fourcast, or its beginning is damaged; it was left as it is: move it away to \
                 begin anew, or bring a backup back with 'fourcast journal restore'",
                file.display()
            ),
            OpenError::Format { file, found, known } => write!(
                f,
                "{} has format {found}, and this release of fourcast knows format {known}; it was left as it is: \
                 use the release that wrote it",
                file.display()
            ),
            OpenError::Damaged { file, part } => write!(
                f,
                "{} is damaged: {part}; it was left as it is: bring a backup back with 'fourcast journal restore'",
                file.display()
            ),
            OpenError::Unusable { path, cause } => {
                write!(f, "cannot use {}: {cause}", path.display())
            }
        }
    }
}

impl std::error::Error for OpenError {}

/// Why the store did not do what it was asked.
#[derive(Debug)]
pub enum Fault {
    /// SQLite says so.
    Sqlite(rusqlite::Error),
    /// What it says cannot be.
    Damage(String),
    /// All connections for reading were in use for too long.
    Busy,
    /// The database is not the file any more that was opened.
    Replaced,
    /// The system does not let a file be used.
    Outside(String),
}

impl Fault {
    /// What the system says about a file.
    pub(super) fn outside(error: impl fmt::Display) -> Self {
        Fault::Outside(error.to_string())
    }

    /// What whoever asked is told.
    pub(super) fn told(&self) -> StoreError {
        match self.code() {
            Some(ErrorCode::DiskFull) => StoreError::Full,
            _ => StoreError::Unavailable,
        }
    }

    /// Whether what lies on the disk is not what was written.
    pub(super) fn is_damage(&self) -> bool {
        // A constraint of ours that does not hold, or a value that is of no type of ours.
        let damaged = [
            ErrorCode::DatabaseCorrupt,
            ErrorCode::NotADatabase,
            ErrorCode::ConstraintViolation,
        ];
        match self {
            Fault::Damage(_) => true,
            Fault::Sqlite(rusqlite::Error::SqliteFailure(error, _)) => {
                damaged.contains(&error.code)
            }
            Fault::Sqlite(_) => true,
            Fault::Busy | Fault::Replaced | Fault::Outside(_) => false,
        }
    }

    /// Whether the disk failed to do what it was asked.
    pub(super) fn is_of_the_disk(&self) -> bool {
        self.code() == Some(ErrorCode::SystemIoFailure)
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Fault::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sqlite(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Sqlite(error) => error.fmt(f),
            Fault::Damage(part) => write!(f, "damaged: {part}"),
            Fault::Outside(cause) => f.write_str(cause),
            Fault::Busy => f.write_str("every connection for reading is in use"),
            Fault::Replaced => {
                f.write_str("the database was removed or replaced under the running server")
            }
        }
    }
}
