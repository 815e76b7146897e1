//! What the threads of a journal share: what is known, whether it can be written, and what was counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::catalogue::Catalogue;
use crate::shutdown::abort;

/// Shared by the writer, the checkpointer and everyone who reads.
pub(super) struct Shared {
    catalogue: RwLock<Catalogue>,
    /// Whether the last attempt to keep something succeeded.
    pub(super) writable: AtomicBool,
    /// Whether the life has ended.
    pub(super) closed: AtomicBool,
    /// How many transactions were committed, so that the checkpointer sees whether there is something to do.
    pub(super) commits: AtomicU64,
    /// How many events went because all together were too many bytes.
    pub(super) crowded_out: AtomicU64,
    /// How many orders the writer has in hand.
    #[cfg(test)]
    pub(super) in_hand: std::sync::atomic::AtomicUsize,
    /// Whether the write-ahead log is long enough for the writer to let it begin anew.
    pub(super) log_is_long: AtomicBool,
    /// Whether some of it may never reach the disk, however often it is synced from now on.
    pub(super) log_is_doubtful: AtomicBool,
}

impl Shared {
    pub(super) fn new(catalogue: Catalogue) -> Self {
        Shared {
            catalogue: RwLock::new(catalogue),
            writable: AtomicBool::new(true),
            closed: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            crowded_out: AtomicU64::new(0),
            #[cfg(test)]
            in_hand: Default::default(),
            log_is_long: AtomicBool::new(false),
            log_is_doubtful: AtomicBool::new(false),
        }
    }

    /// What is known, as it was announced last. Held for moments, never during a look at the disk.
    pub(super) fn catalogue(&self) -> RwLockReadGuard<'_, Catalogue> {
        self.catalogue
            .read()
            .unwrap_or_else(|_| abort("a thread panicked inside the journal"))
    }

    /// The same, to be changed; the writer alone does.
    pub(super) fn change(&self) -> RwLockWriteGuard<'_, Catalogue> {
        self.catalogue
            .write()
            .unwrap_or_else(|_| abort("a thread panicked inside the journal"))
    }

    /// Notes that the disk failed to take what was written.
    pub(super) fn doubt_log(&self) {
        self.log_is_doubtful.store(true, Ordering::Release);
    }

    /// Whether the life has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
