//! Where the server is at the moment, for clients whose server has just been killed.

use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// How long the next server may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The address of the running server.
#[derive(Default)]
pub struct Whereabouts {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    address: Option<SocketAddr>,
    is_last: bool,
    is_over: bool,
}

/// Ends the wait of all clients when the driver of the test fails: they have nothing to say about it.
pub struct Patron<'a>(pub &'a Whereabouts);

impl Drop for Patron<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state().is_over = true;
            self.0.changed.notify_all();
        }
    }
}

impl Whereabouts {
    /// A server runs there.
    pub fn announce(&self, address: SocketAddr) {
        self.state().address = Some(address);
        self.changed.notify_all();
    }

    /// A server runs there that will not be killed: nothing new is published to it.
    pub fn announce_the_last(&self, address: SocketAddr) {
        self.state().is_last = true;
        self.announce(address);
    }

    /// There is no server, or soon there will be none.
    pub fn withdraw(&self) {
        self.state().address = None;
    }

    /// Whether the last server runs.
    pub fn is_last(&self) -> bool {
        self.state().is_last
    }

    /// The address of the server; waits for one, which must come in time. `None` when the test is over.
    pub fn now(&self) -> Option<SocketAddr> {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.state(), PATIENCE, |state| {
                state.address.is_none() && !state.is_over
            })
            .expect("nobody panicked with it");
        let (address, is_over) = (state.address, state.is_over);
        // A panic with the lock held would make all others panic, too.
        drop(state);
        assert!(is_over || address.is_some(), "the next server is late");
        address.filter(|_| !is_over)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked with it")
    }
}
