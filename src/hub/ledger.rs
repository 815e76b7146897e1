//! What the entries of one keeper were rendered to: counted as long as it is there, and let go of when it is too much.
//! One event may be rendered to many times its size, and in each form; the readers choose how often.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use crate::shutdown::abort;

/// Who keeps entries for whoever asks for them next.
pub trait Keeper: Send + Sync {
    /// Keeps no longer what was rendered to so many bytes at least, if there is as much.
    fn let_go(&self, bytes: usize);
}

/// The count of one keeper's renderings.
pub struct Ledger {
    bytes: AtomicUsize,
    max_bytes: usize,
    keeper: Weak<dyn Keeper>,
    letting_go: Mutex<()>,
}

impl Ledger {
    /// One that has `keeper` let go of renderings when there are more than `max_bytes`.
    pub fn new(keeper: Weak<dyn Keeper>, max_bytes: usize) -> Arc<Self> {
        Arc::new(Ledger {
            bytes: AtomicUsize::new(0),
            max_bytes,
            keeper,
            letting_go: Mutex::new(()),
        })
    }

    /// What is there, in bytes, also of entries that their keeper let go of and somebody reads yet.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts what one entry was rendered to. The caller holds no lock of the keeper.
    pub fn add(&self, bytes: usize) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.max_bytes {
            self.shrink();
        }
    }

    /// Counts no longer what is gone.
    pub fn subtract(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Down to the half, so that this is rare.
    #[cold]
    fn shrink(&self) {
        // Who comes second finds out what the first one left.
        let _alone = self
            .letting_go
            .lock()
            .unwrap_or_else(|_| abort("a thread panicked while it let go of renderings"));
        let bytes = self.bytes();
        if bytes > self.max_bytes
            && let Some(keeper) = self.keeper.upgrade()
        {
            keeper.let_go(bytes - self.max_bytes / 2);
        }
    }
}
