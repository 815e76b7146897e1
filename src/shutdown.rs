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
    slots: HashMap<u64, Slot>,
}

struct Slot {
    /// The connection itself, which can be cut.
    connection: Arc<dyn Leave>,
    /// Who says goodbye; nobody while a request is answered.
    guest: Option<Arc<dyn Leave>>,
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
            .filter_map(|slot| slot.guest.clone())
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
        let mut list = self.list();
        list.next += 1;
        let number = list.next;
        list.slots.insert(
            number,
            Slot {
                connection,
                guest: None,
            },
        );
        Berth {
            shutdown: self.clone(),
            number,
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
        let mut list = self.shutdown.list();
        let slot = list.slots.get_mut(&self.number);
        // What stood there is dropped after the list was let go: it may be the last owner of much.
        let before = slot.map(|slot| std::mem::replace(&mut slot.guest, guest));
        drop(list);
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
