//! The access that counts now, shared by all threads, and replaced as a whole.

use std::sync::{Arc, PoisonError, RwLock};

use super::Access;
use super::token::verifier::Verifier;
use crate::config::{self, Tokens};
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
        let tokens = Arc::new(read_keys(&config.tokens)?);
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

    /// Has what `config` says count from now on, with what was read of its keys of tokens; `None`: they are the same as
    /// before. Reads nothing, so that no disk keeps a key from being taken back.
    pub fn obey(&self, config: &config::Access, keys: Option<Kept<Verifier>>) {
        if let Some(keys) = keys {
            self.tokens.take(keys);
        }
        let access = Arc::new(Access::new(config, self.tokens.clone()));
        let mut current = self.access.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, access);
        drop(current);
        // Not under the lock: it may be the last owner of much.
        drop(before);
    }
}

/// Reads the keys of tokens, with the files that they stand in. Blocks while it reads.
///
/// # Errors
/// A sentence that says which of them is wrong, and why.
pub fn read_keys(tokens: &Tokens) -> Result<Kept<Verifier>, String> {
    Kept::read("access.tokens", Verifier::source(tokens))
}
