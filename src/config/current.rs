//! The configuration that counts now, shared by all threads, and replaced as a whole when it is read again.

use std::sync::{Arc, PoisonError, RwLock};

use super::Config;

/// The configuration that counts now.
pub struct Current {
    config: RwLock<Arc<Config>>,
}

impl Current {
    /// Begins with `config`.
    pub fn new(config: Config) -> Self {
        Current {
            config: RwLock::new(Arc::new(config)),
        }
    }

    /// What counts now; it stays as it is for whoever holds it.
    pub fn get(&self) -> Arc<Config> {
        // It is replaced as a whole, so it is whole after a panic too.
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Has what `next` makes of it count from now on: what counted before, and what counts now. Everyone waits for
    /// `next`, so that of two changes one comes after the other; it must not block.
    pub fn change(&self, next: impl FnOnce(&Config) -> Config) -> [Arc<Config>; 2] {
        let mut current = self.config.write().unwrap_or_else(PoisonError::into_inner);
        let now = Arc::new(next(&current));
        let before = std::mem::replace(&mut *current, now.clone());
        [before, now]
    }
}
