//! Reading beside the writer: a few connections that readers take in turn, each for one page.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use rusqlite::Connection;

use super::error::Fault;
use super::store;

/// How long a reader waits for a connection, each of which is in use for one page only.
const PATIENCE: Duration = Duration::from_secs(10);

/// The connections, as many as there may be.
pub(super) struct Readers {
    file: PathBuf,
    count: usize,
    idle: Receiver<Connection>,
    returned: Sender<Connection>,
    /// How often the database was replaced, so that damage of the one before is not held against this one.
    generation: AtomicU64,
    damage: Mutex<Option<Fault>>,
}

/// A connection in use; dropping it gives it back.
struct Lent<'a> {
    connection: Option<Connection>,
    readers: &'a Readers,
}

impl Readers {
    /// Opens `count` connections to the database.
    pub(super) fn open(file: &Path, count: usize) -> Result<Self, Fault> {
        let (returned, idle) = bounded(count);
        let readers = Readers {
            file: file.to_owned(),
            count,
            idle,
            returned,
            generation: AtomicU64::new(0),
            damage: Mutex::new(None),
        };
        readers.open_all()?;
        Ok(readers)
    }

    /// Does `read` within one snapshot of the database. Blocks while all connections are in use.
    pub(super) fn look<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.lend(|connection| {
            let snapshot = connection.unchecked_transaction()?;
            let seen = read(&snapshot)?;
            snapshot.commit()?;
            Ok(seen)
        })
    }

    /// Lends a connection. Blocks while all are in use.
    pub(super) fn lend<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let connection = self.idle.recv_timeout(PATIENCE).map_err(|_| Fault::Busy)?;
        let mut lent = Lent {
            connection: Some(connection),
            readers: self,
        };
        let outcome = lent.connection.as_ref().map_or(Err(Fault::Busy), work);
        if outcome.is_err() {
            lent.renew();
        }
        outcome
    }

    /// Waits until no connection is in use, and closes all.
    ///
    /// # Errors
    /// When one stays in use for too long; the others are open again then.
    pub(super) fn close_all(&self) -> Result<(), Fault> {
        let deadline = Instant::now() + PATIENCE;
        let mut closed = Vec::new();
        while closed.len() < self.count {
            match self.idle.recv_deadline(deadline) {
                Ok(connection) => closed.push(connection),
                Err(_) => {
                    closed
                        .into_iter()
                        .for_each(|connection| self.give_back(connection));
                    return Err(Fault::Busy);
                }
            }
        }
        Ok(())
    }

    /// Opens all connections, which were closed, to the database that is there now.
    pub(super) fn open_all(&self) -> Result<(), Fault> {
        self.generation.fetch_add(1, Ordering::AcqRel);
        for _ in 0..self.count {
            self.give_back(store::open_beside(&self.file)?);
        }
        Ok(())
    }

    /// Names the database that is read from now on.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Notes that the database of this generation is damaged.
    pub(super) fn report(&self, generation: u64, fault: Fault) {
        if generation == self.generation() {
            self.damage().get_or_insert(fault);
        }
    }

    /// The damage that was noted.
    pub(super) fn take_report(&self) -> Option<Fault> {
        self.damage().take()
    }

    fn damage(&self) -> MutexGuard<'_, Option<Fault>> {
        // Every change is one assignment, so a panic leaves it whole.
        self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, connection: Connection) {
        // There is room for it: there are never more than `count`.
        let _ = self.returned.try_send(connection);
    }
}

impl Lent<'_> {
    /// Opens a new connection in place of one that failed, which may go on to fail.
    fn renew(&mut self) {
        if let Ok(connection) = store::open_beside(&self.readers.file) {
            self.connection = Some(connection);
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.readers.give_back(connection);
        }
    }
}
