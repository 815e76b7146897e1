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

    /// Has `config` count from now on.
    pub fn set(&self, config: Config) {
        let config = Arc::new(config);
        let mut current = self.config.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, config);
        drop(current);
        // Perhaps the last owner of much, so after the lock.
        drop(before);
    }
}
