//! A journal that is only looked at: beside the server that writes it, or without one.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::directory::Directory;
use super::error::{Fault, OpenError};
use super::rows::Life;
use super::store;
use crate::event::Id;

/// A journal opened for reading. It has no lock, so it neither keeps a server away nor is kept away by one.
pub struct Visitor {
    file: PathBuf,
    connection: Connection,
}

impl Visitor {
    /// Opens the journal in `directory`. Makes nothing where there is none.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(directory: &Directory) -> Result<Self, OpenError> {
        Self::open_file(&directory.database())
    }

    /// Opens the journal in `file`, such as a backup.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open_file(file: &Path) -> Result<Self, OpenError> {
        let unusable = |error| OpenError::unusable(file, error);
        if !file.try_exists().map_err(unusable)? {
            return Err(OpenError::Missing(file.to_owned()));
        }
        // SQLite takes a name that begins with `file:` for a URI; an absolute path does not.
        let file = std::path::absolute(file).map_err(unusable)?;
        let opened = store::open_for_reading(&file);
        let connection = opened.map_err(|fault| store::opening(&file, &fault))?;
        store::check_format(&connection, &file)?;
        Ok(Visitor { file, connection })
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Does `look` within one snapshot. As long as that takes, the server's write-ahead log cannot begin anew.
    pub(super) fn look<T>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, OpenError> {
        let seen = self.connection.unchecked_transaction();
        let seen = seen.map_err(Fault::from).and_then(|snapshot| {
            let seen = look(&snapshot)?;
            snapshot.commit()?;
            Ok(seen)
        });
        seen.map_err(|fault| store::opening(&self.file, &fault))
    }

    /// For what has to be its own transaction.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// The id of the newest event that was numbered in `lives`, whether it is kept or not.
pub(super) fn newest_id(lives: &[Life]) -> Option<Id> {
    let seq = lives.last()?.last_seq;
    // Later lives that numbered nothing have the same seq.
    let life = lives.iter().find(|life| life.last_seq == seq)?;
    (seq > 0).then_some(Id {
        epoch: life.epoch,
        seq,
    })
}
