//! The access that counts now, shared by all threads, and replaced as a whole.

use std::sync::{Arc, PoisonError, RwLock};

use super::Access;
use super::token::verifier::Verifier;
use crate::config;
use crate::upkeep::{Follow, Kept};

/// The access that counts now.
pub struct Current {
    access: RwLock<Arc<Access>>,
    tokens: Arc<Kept<Verifier>>,
}

impl Current {
    /// Begins with what `config` says. Blocks while it reads the files of keys.
    ///
    /// # Errors
    /// A sentence that says which of them is wrong, and why.
    pub fn new(config: &config::Access) -> Result<Self, String> {
        let source = Verifier::source(&config.tokens);
        let tokens = Arc::new(Kept::read("access.tokens", source)?);
        Ok(Current {
            access: RwLock::new(Arc::new(Access::new(config, tokens.clone()))),
            tokens,
        })
    }

    /// What follows the files of keys.
    pub fn follower(&self) -> Arc<dyn Follow> {
        self.tokens.clone()
    }

    /// What counts now; it stays as it is for whoever holds it.
    pub fn get(&self) -> Arc<Access> {
        // It is replaced as a whole, so it is whole after a panic too.
        self.access
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Has what `config` says count from now on; of its files of keys, the last that could be read. Blocks while it reads
    /// them.
    pub fn obey(&self, config: &config::Access) {
        self.tokens.turn_to(Verifier::source(&config.tokens));
        let access = Arc::new(Access::new(config, self.tokens.clone()));
        let mut current = self.access.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, access);
        drop(current);
        // Not under the lock: it may be the last owner of much.
        drop(before);
    }
}
