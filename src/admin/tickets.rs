//! Who may ask the engine: as many at once as it has threads, each for as long as whoever asked waits. tiny_http itself
//! would keep every request, however many, and answer it however late.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::server::permit::{Permit, Permits};

/// The tickets of one engine.
pub(super) struct Tickets {
    permits: Permits,
    last: AtomicU64,
    /// Those that nobody has begun with.
    waiting: Mutex<HashMap<u64, Permit>>,
}

/// The right to one request; dropping it withdraws the request, unless somebody has begun with it.
pub(super) struct Ticket<'a> {
    tickets: &'a Tickets,
    pub(super) number: u64,
}

impl Tickets {
    /// As many at once as `most`.
    pub(super) fn new(most: usize) -> Self {
        Tickets {
            permits: Permits::new(most),
            last: AtomicU64::new(0),
            waiting: Mutex::default(),
        }
    }

    /// A ticket, as soon as there is one; `None` when there is none before `deadline`.
    pub(super) fn take_by(&self, deadline: Instant) -> Option<Ticket<'_>> {
        let permit = self.permits.take_by(deadline)?;
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        self.waiting().insert(number, permit);
        Some(Ticket {
            tickets: self,
            number,
        })
    }

    /// Begins with the request of this ticket, whose place is taken until the permit is dropped; `None` when whoever
    /// asked has given up.
    pub(super) fn redeem(&self, number: u64) -> Option<Permit> {
        self.waiting().remove(&number)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Permit>> {
        // Every change is one insertion or removal, so a panic leaves it whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let withdrawn = self.tickets.redeem(self.number);
        drop(withdrawn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_when_a_request_is_withdrawn_or_done_with() {
        let tickets = Tickets::new(1);
        let now = Instant::now();
        let ticket = tickets.take_by(now).unwrap();
        assert!(tickets.take_by(now).is_none());
        drop(ticket);
        let ticket = tickets.take_by(now).unwrap();
        let begun = tickets.redeem(ticket.number).unwrap();
        drop(ticket);
        assert!(tickets.take_by(now).is_none(), "it is being answered");
        drop(begun);
        assert!(tickets.take_by(now).is_some());
    }

    #[test]
    fn nobody_begins_with_what_was_withdrawn_or_begun() {
        let tickets = Tickets::new(2);
        let now = Instant::now();
        let number = tickets.take_by(now).map(|ticket| ticket.number).unwrap();
        assert!(tickets.redeem(number).is_none(), "withdrawn");
        let ticket = tickets.take_by(now).unwrap();
        assert!(tickets.redeem(ticket.number).is_some());
        assert!(tickets.redeem(ticket.number).is_none(), "begun");
    }
}
