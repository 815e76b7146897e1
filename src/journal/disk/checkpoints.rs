//! The thread that brings the write-ahead log into the database, beside the commits and not within them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::error::Fault;
use super::readers::Readers;
use super::shared::Shared;
use super::store;

/// How often it looks whether something was committed.
const PAUSE: Duration = Duration::from_millis(250);
/// So many pages (of 4 KiB) are brought over together: most were written more than once, and are copied once.
const WORTH_IT: u64 = 1_000;
/// A log of this many pages begins anew as soon as the writer can.
pub(super) const LONG: u64 = 4_096;

/// The checkpointer.
pub(super) struct Checkpoints {
    pub(super) readers: Arc<Readers>,
    pub(super) shared: Arc<Shared>,
    /// Its other end is dropped when this is to stop.
    pub(super) stopped: Receiver<()>,
}

impl Checkpoints {
    /// Works until it is stopped.
    pub(super) fn run(self) {
        let mut done = 0;
        let mut failed = false;
        while self.stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
            let commits = self.shared.commits.load(Ordering::Relaxed);
            if commits == done {
                continue;
            }
            match self.checkpoint() {
                Ok(()) => (done, failed) = (commits, false),
                Err(fault) => {
                    if fault.is_of_the_disk() {
                        self.shared.doubt_log();
                    }
                    if !failed {
                        log::warn!("the write-ahead log stays as it is: {fault}");
                    }
                    failed = true;
                }
            }
        }
    }

    fn checkpoint(&self) -> Result<(), Fault> {
        let log = self.readers.lend(store::log)?;
        if log.pages - log.in_database.min(log.pages) < WORTH_IT {
            return Ok(());
        }
        let log = self.readers.lend(store::checkpoint)?;
        if log.pages >= LONG {
            self.shared.log_is_long.store(true, Ordering::Release);
        }
        Ok(())
    }
}
