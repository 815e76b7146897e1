//! Reading beside the writer: a few connections that readers take in turn, each for one page.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use rusqlite::Connection;

use super::error::Fault;
use super::store;

/// How long a reader waits for a connection, each of which is in use for one page only.
const PATIENCE: Duration = Duration::from_secs(10);

/// The connections, as many as there may be.
pub(super) struct Readers {
    file: PathBuf,
    idle: Receiver<Connection>,
    returned: Sender<Connection>,
}

/// A connection in use; dropping it gives it back.
struct Lent<'a> {
    connection: Option<Connection>,
    readers: &'a Readers,
}

impl Readers {
    /// Opens `count` connections to the database.
    pub(super) fn open(file: &Path, count: usize) -> Result<Self, Fault> {
        let (returned, idle) = bounded(count.max(1));
        for _ in 0..count.max(1) {
            // There is room for each.
            let _ = returned.try_send(store::open_for_reading(file)?);
        }
        Ok(Readers {
            file: file.to_owned(),
            idle,
            returned,
        })
    }

    /// Does `read` within one snapshot of the database. Blocks while all connections are in use.
    pub(super) fn look<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let connection = self.idle.recv_timeout(PATIENCE).map_err(|_| Fault::Busy)?;
        let mut lent = Lent {
            connection: Some(connection),
            readers: self,
        };
        let outcome = lent
            .connection
            .as_ref()
            .map_or(Err(Fault::Busy), |connection| {
                let snapshot = connection.unchecked_transaction()?;
                let seen = read(&snapshot)?;
                snapshot.commit()?;
                Ok(seen)
            });
        if outcome.is_err() {
            lent.renew();
        }
        outcome
    }
}

impl Lent<'_> {
    /// Opens a new connection in place of one that failed, which may go on to fail.
    fn renew(&mut self) {
        if let Ok(connection) = store::open_for_reading(&self.readers.file) {
            self.connection = Some(connection);
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // There is room for it: it was taken from there.
            let _ = self.readers.returned.try_send(connection);
        }
    }
}
