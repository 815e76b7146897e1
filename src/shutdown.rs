//! How a server ends: one token that everyone can see, and a list of those to whom goodbye is said.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Why a server stops, which tells its clients what to expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// It goes away: WebSocket close code 1001.
    Away,
    /// It comes back: WebSocket close code 1012.
    Restart,
}

impl Leaving {
    /// The refusal that says so, with its close code.
    pub const fn kind(self) -> crate::refusal::Kind {
        match self {
            Leaving::Away => crate::refusal::Kind::Leaving,
            Leaving::Restart => crate::refusal::Kind::Restarting,
        }
    }
}

/// Whoever can say goodbye to the client of one connection. Called from the stopping thread; must not block.
pub trait Leave: Send + Sync {
    /// Says goodbye in the way of this connection, or cuts it when it is idle.
    fn leave(&self, leaving: Leaving);
}

/// The token of one server's shutdown; its clones are the same.
#[derive(Clone, Default)]
pub struct Shutdown {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    begun: OnceLock<Leaving>,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    next: u64,
    slots: HashMap<u64, Arc<Slot>>,
}

struct Slot {
    /// The connection itself, which can be cut.
    connection: Arc<dyn Leave>,
    /// Who says goodbye; nobody while a request is answered. It changes twice a request, so it has a lock of
    /// its own, for which nobody waits but while the server stops.
    guest: Mutex<Option<Arc<dyn Leave>>>,
}

impl Slot {
    fn guest(&self) -> MutexGuard<'_, Option<Arc<dyn Leave>>> {
        // Every change is one assignment, so a panic leaves it whole.
        self.guest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shutdown {
    /// Why the server stops, once it does.
    pub fn begun(&self) -> Option<Leaving> {
        self.shared.begun.get().copied()
    }

    /// Begins the end: everyone in the list says goodbye, and whoever comes into it later does at once.
    pub fn begin(&self, leaving: Leaving) {
        if self.shared.begun.set(leaving).is_err() {
            return;
        }
        let guests: Vec<_> = self
            .list()
            .slots
            .values()
            .filter_map(|slot| slot.guest().clone())
            .collect();
        for guest in guests {
            guest.leave(leaving);
        }
    }

    /// Cuts every connection that is still there.
    pub fn cut(&self) {
        let leaving = self.begun().unwrap_or(Leaving::Away);
        let connections: Vec<_> = self
            .list()
            .slots
            .values()
            .map(|slot| slot.connection.clone())
            .collect();
        for connection in connections {
            connection.leave(leaving);
        }
    }

    /// A place in the list, until it is dropped, for a connection that its own `leave` cuts.
    pub fn berth(&self, connection: Arc<dyn Leave>) -> Berth {
        let slot = Arc::new(Slot {
            connection,
            guest: Mutex::new(None),
        });
        let mut list = self.list();
        list.next += 1;
        let number = list.next;
        list.slots.insert(number, slot.clone());
        Berth {
            shutdown: self.clone(),
            number,
            slot,
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        // Every change of the list is one insertion or removal, so a panic leaves it whole.
        self.shared
            .list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place in the list of those to whom goodbye is said.
pub struct Berth {
    shutdown: Shutdown,
    number: u64,
    slot: Arc<Slot>,
}

impl Berth {
    /// Says who speaks for this connection now; at once, when the end has begun.
    pub fn hold(&self, guest: Arc<dyn Leave>) {
        self.put(Some(guest.clone()));
        if let Some(leaving) = self.shutdown.begun() {
            guest.leave(leaving);
        }
    }

    /// Says that the connection is busy with a request, which it will finish.
    pub fn release(&self) {
        self.put(None);
    }

    fn put(&self, guest: Option<Arc<dyn Leave>>) {
        let before = std::mem::replace(&mut *self.slot.guest(), guest);
        // Dropped after the slot was let go: it may be the last owner of much.
        drop(before);
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        let slot = self.shutdown.list().slots.remove(&self.number);
        drop(slot);
    }
}

/// Ends the process loudly, because a part that all others rely on is broken (a bug of ours): going on
/// would lose events in silence.
pub fn abort(what: &str) -> ! {
    log::error!("fatal: {what}; this is a bug in fourcast, the process ends");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes every goodbye.
    #[derive(Default)]
    struct Guest(Mutex<Vec<Leaving>>);

    impl Guest {
        fn told(&self) -> Vec<Leaving> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Leave for Guest {
        fn leave(&self, leaving: Leaving) {
            self.0.lock().unwrap().push(leaving);
        }
    }

    fn guest() -> Arc<Guest> {
        Arc::default()
    }

    #[test]
    fn everyone_who_speaks_for_a_connection_says_goodbye_once() {
        let shutdown = Shutdown::default();
        let (connection, first, second) = (guest(), guest(), guest());
        let one = shutdown.berth(connection.clone());
        let other = shutdown.clone().berth(connection.clone());
        one.hold(first.clone());
        other.hold(second.clone());
        assert_eq!(shutdown.begun(), None);
        shutdown.begin(Leaving::Restart);
        shutdown.begin(Leaving::Away);
        assert_eq!(shutdown.begun(), Some(Leaving::Restart));
        assert_eq!(first.told(), [Leaving::Restart]);
        assert_eq!(second.told(), [Leaving::Restart]);
        assert!(connection.told().is_empty(), "nothing is cut yet");
    }

    #[test]
    fn whoever_comes_after_the_beginning_is_told_at_once() {
        let shutdown = Shutdown::default();
        shutdown.begin(Leaving::Away);
        let (connection, late) = (guest(), guest());
        shutdown.berth(connection.clone()).hold(late.clone());
        assert_eq!(late.told(), [Leaving::Away]);
        assert!(connection.told().is_empty());
    }

    #[test]
    fn only_the_last_who_speaks_for_a_connection_is_told() {
        let shutdown = Shutdown::default();
        let (before, after) = (guest(), guest());
        let berth = shutdown.berth(guest());
        berth.hold(before.clone());
        berth.hold(after.clone());
        shutdown.begin(Leaving::Away);
        assert!(before.told().is_empty());
        assert_eq!(after.told(), [Leaving::Away]);
    }

    #[test]
    fn a_connection_that_answers_a_request_is_not_disturbed_but_can_be_cut() {
        let shutdown = Shutdown::default();
        let (connection, idle) = (guest(), guest());
        let berth = shutdown.berth(connection.clone());
        berth.hold(idle.clone());
        berth.release();
        shutdown.begin(Leaving::Restart);
        assert!(idle.told().is_empty() && connection.told().is_empty());
        shutdown.cut();
        assert_eq!(connection.told(), [Leaving::Restart]);
        assert!(idle.told().is_empty());
    }

    #[test]
    fn whoever_has_gone_is_neither_told_nor_cut() {
        let shutdown = Shutdown::default();
        let (connection, gone) = (guest(), guest());
        let berth = shutdown.berth(connection.clone());
        berth.hold(gone.clone());
        drop(berth);
        assert_eq!(Arc::strong_count(&gone), 1, "the list lets go of it");
        shutdown.begin(Leaving::Away);
        shutdown.cut();
        assert!(gone.told().is_empty() && connection.told().is_empty());
    }

    /// Leaves its berth while it says goodbye, as a connection may that ends by it.
    struct Hasty(Mutex<Option<Berth>>);

    impl Leave for Hasty {
        fn leave(&self, _: Leaving) {
            drop(self.0.lock().unwrap().take());
        }
    }

    #[test]
    fn one_who_leaves_the_list_while_it_is_told_holds_nobody_up() {
        let shutdown = Shutdown::default();
        let hasty = Arc::new(Hasty(Mutex::new(Some(shutdown.berth(guest())))));
        if let Some(berth) = &*hasty.0.lock().unwrap() {
            berth.hold(hasty.clone());
        }
        shutdown.begin(Leaving::Away);
        assert!(hasty.0.lock().unwrap().is_none());
        assert_eq!(Arc::strong_count(&hasty), 1);
    }
}
