//! Permits: how many connections may be open at once. One lives as long as its socket.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::memory::Reservation;
use crate::access::shares::Client;
use crate::access::tally::Share;

/// A bounded number of permits.
#[derive(Clone)]
pub struct Permits {
    shared: Arc<Shared>,
}

struct Shared {
    limit: AtomicUsize,
    taken: Mutex<usize>,
    given_back: Condvar,
}

/// The right to one open connection; given back when it is dropped, with all that the connection was counted for.
pub struct Permit {
    shared: Arc<Shared>,
    _share: Option<Share<Client>>,
    _memory: Option<Reservation>,
}

impl Permits {
    /// As many as `limit`.
    pub fn new(limit: usize) -> Self {
        Permits {
            shared: Arc::new(Shared {
                limit: AtomicUsize::new(limit),
                taken: Mutex::new(0),
                given_back: Condvar::new(),
            }),
        }
    }

    /// Lets `limit` count from now on. Those that are out stay out.
    pub fn bound(&self, limit: usize) {
        self.shared.limit.store(limit, Ordering::Relaxed);
    }

    /// A permit, if there is one left.
    pub fn try_take(&self) -> Option<Permit> {
        self.give(self.shared.taken())
    }

    /// A permit, as soon as there is one left; `None` when there is none before `deadline`.
    pub fn take_by(&self, deadline: Instant) -> Option<Permit> {
        let patience = deadline.saturating_duration_since(Instant::now());
        let is_out = |taken: &mut usize| *taken >= self.shared.limit();
        let taken = self.shared.taken();
        let waited = self
            .shared
            .given_back
            .wait_timeout_while(taken, patience, is_out);
        self.give(waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn give(&self, mut taken: MutexGuard<'_, usize>) -> Option<Permit> {
        if *taken >= self.shared.limit() {
            return None;
        }
        *taken += 1;
        Some(Permit {
            shared: self.shared.clone(),
            _share: None,
            _memory: None,
        })
    }

    /// Waits until all permits are back, until `deadline` at most; says how many are not.
    pub fn wait_for_all(&self, deadline: Instant) -> usize {
        let patience = deadline.saturating_duration_since(Instant::now());
        let waited =
            self.shared
                .given_back
                .wait_timeout_while(self.shared.taken(), patience, |taken| *taken > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Shared {
    fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    fn taken(&self) -> MutexGuard<'_, usize> {
        // A number is whole whatever happened to those who held the lock.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The same with what the connection has of its address's share, and of the memory.
    pub fn with(self, share: Option<Share<Client>>, memory: Reservation) -> Self {
        let mut permit = self;
        permit._share = share;
        permit._memory = Some(memory);
        permit
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.shared.taken() -= 1;
        self.shared.given_back.notify_all();
    }
}
