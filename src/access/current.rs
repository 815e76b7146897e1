//! The access that counts now, shared by all threads, and replaced as a whole.

use std::sync::{Arc, PoisonError, RwLock};

use super::Access;

/// The access that counts now.
pub struct Current {
    access: RwLock<Arc<Access>>,
}

impl Current {
    /// Begins with `access`.
    pub fn new(access: Access) -> Self {
        Current {
            access: RwLock::new(Arc::new(access)),
        }
    }

    /// What counts now; it stays as it is for whoever holds it.
    pub fn get(&self) -> Arc<Access> {
        // It is replaced as a whole, so it is whole after a panic too.
        self.access
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Has `access` count from now on.
    pub fn replace(&self, access: Access) {
        let access = Arc::new(access);
        let mut current = self.access.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, access);
        drop(current);
        // Not under the lock: it may be the last owner of much.
        drop(before);
    }
}
