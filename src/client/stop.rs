//! The handle that ends a subscription from another thread.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use super::error::Error;
use super::line::Line;

/// Ends a subscription from any thread, whatever it waits for; clones end the same one.
#[derive(Debug, Clone, Default)]
pub struct Stopper(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    /// Weak, so that a handle that somebody keeps does not keep the connection.
    line: Weak<Line>,
}

impl Stopper {
    /// Ends the subscription: what it waits for returns [`Error::Stopped`], now and from now on. Does
    /// not block; a connection that is just being made is waited for by the subscription, not here.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        if let Some(line) = state.line.upgrade() {
            line.end();
        }
        self.0.changed.notify_all();
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// From now on `line` is the one to end.
    pub(super) fn watch(&self, line: &Arc<Line>) -> Result<(), Error> {
        let mut state = self.lock();
        if state.stopped {
            return Err(Error::Stopped);
        }
        state.line = Arc::downgrade(line);
        Ok(())
    }

    /// Waits until `end`, or until it is stopped.
    pub(super) fn wait(&self, end: Instant) -> Result<(), Error> {
        let left = end.saturating_duration_since(Instant::now());
        let state = self.lock();
        let (state, _) = self
            .0
            .changed
            .wait_timeout_while(state, left, |state| !state.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            return Err(Error::Stopped);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
