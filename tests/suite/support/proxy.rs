//! A TCP proxy that breaks connections off in the middle, as a train in a tunnel does.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::wire::PATIENCE;

/// A proxy that relays a number of bytes towards the client on each connection and then drops it.
pub struct DroppingProxy {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: Mutex<SocketAddr>,
    /// Bytes towards the client after which each connection ends, taken in turn.
    budgets: &'static [usize],
    accepted: AtomicUsize,
    dropped: AtomicUsize,
    ended: AtomicBool,
}

impl DroppingProxy {
    /// Starts it before `target`; connection n is dropped after the n-th of `budgets`, round and round.
    pub fn start(target: SocketAddr, budgets: &'static [usize]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            budgets,
            accepted: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &accepting));
        DroppingProxy { address, shared }
    }

    /// Sends the connections from now on elsewhere.
    pub fn retarget(&self, target: SocketAddr) {
        *self.shared.target.lock().expect("nobody panics with it") = target;
    }

    /// How many connections were dropped in the middle.
    pub fn dropped(&self) -> usize {
        self.shared.dropped.load(Ordering::SeqCst)
    }
}

impl Drop for DroppingProxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; if it has gone already there is nobody to wake.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        let target = *shared.target.lock().expect("nobody panics with it");
        let Ok(server) = TcpStream::connect_timeout(&target, PATIENCE) else {
            continue;
        };
        let turn = shared.accepted.fetch_add(1, Ordering::SeqCst);
        let budget = shared.budgets[turn % shared.budgets.len()];
        let (up_from, up_to) = (
            client.try_clone().expect("a handle"),
            server.try_clone().expect("a handle"),
        );
        thread::spawn(move || relay(up_from, up_to, usize::MAX));
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            if relay(server, client, budget) {
                shared.dropped.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
}

/// Copies until an end or until `budget` bytes have passed, then ends both sides; whether the budget
/// was what ended it.
fn relay(mut from: TcpStream, mut to: TcpStream, mut budget: usize) -> bool {
    let mut page = [0; 4096];
    while budget > 0 {
        let most = budget.min(page.len());
        match from.read(&mut page[..most]) {
            Ok(count @ 1..) if to.write_all(&page[..count]).is_ok() => budget -= count,
            _ => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
    budget == 0
}
