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
    /// `None`: it is opened by whoever takes it next.
    idle: Receiver<Option<Connection>>,
    returned: Sender<Option<Connection>>,
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
    /// As many as `count` connections to the database; each is opened when it is needed.
    pub(super) fn new(file: &Path, count: usize) -> Self {
        let (returned, idle) = bounded(count);
        let readers = Readers {
            file: file.to_owned(),
            count,
            idle,
            returned,
            generation: AtomicU64::new(0),
            damage: Mutex::new(None),
        };
        readers.open_all();
        readers
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
        let idle = self.idle.recv_timeout(PATIENCE).map_err(|_| Fault::Busy)?;
        let mut lent = Lent {
            connection: idle,
            readers: self,
        };
        let outcome = lent.opened().and_then(work);
        if outcome.is_err() {
            // Another one may not fail.
            lent.connection = None;
        }
        outcome
    }

    /// Waits until no connection is in use, and closes all.
    ///
    /// # Errors
    /// When one stays in use for too long; the others can be lent again then.
    pub(super) fn close_all(&self) -> Result<(), Fault> {
        let deadline = Instant::now() + PATIENCE;
        for closed in 0..self.count {
            if self.idle.recv_deadline(deadline).is_err() {
                (0..closed).for_each(|_| self.give_back(None));
                return Err(Fault::Busy);
            }
        }
        Ok(())
    }

    /// Lets connections, which were closed, be opened to the database that is there now.
    pub(super) fn open_all(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        (0..self.count).for_each(|_| self.give_back(None));
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

    fn give_back(&self, connection: Option<Connection>) {
        // There is room for it: there are never more than `count`.
        let _ = self.returned.try_send(connection);
    }
}

impl Lent<'_> {
    fn opened(&mut self) -> Result<&Connection, Fault> {
        let open = match self.connection.take() {
            Some(connection) => connection,
            None => store::open_beside(&self.readers.file)?,
        };
        Ok(self.connection.insert(open))
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.readers.give_back(self.connection.take());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::journal::disk::store::Store;
    use crate::journal::tests::fixture::Scratch;

    #[test]
    fn connections_that_could_not_be_opened_are_opened_when_they_can_be() {
        let scratch = Scratch::new();
        let (file, away) = (scratch.path.join("journal.db"), scratch.path.join("away"));
        drop(Store::open(&file).unwrap());
        let readers = Readers::new(&file, 2);
        let look =
            || readers.look(|connection| Ok(connection.query_row("SELECT 1", (), |_| Ok(()))?));
        readers.close_all().unwrap();
        fs::rename(&file, &away).unwrap();
        readers.open_all();
        assert!(look().is_err());
        fs::rename(&away, &file).unwrap();
        for _ in 0..3 {
            assert!(look().is_ok());
        }
        assert!(readers.close_all().is_ok(), "none is missing");
    }
}
