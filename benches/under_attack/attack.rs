//! An attack under way: who takes part in it, at which pace, and what they did.

mod flood;
mod gate;
mod slow;
mod visits;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use self::flood::Flood;
use self::gate::Gate;
use self::slow::Slow;
use self::visits::Visits;
use super::server::Server;

/// The time between two bytes of whoever trickles.
const TRICKLE: Duration = Duration::from_secs(1);

/// How many attack. What comes faster than the defaults of `[rates]` allow one address is there to be refused.
#[derive(Clone, Copy)]
pub struct Force {
    /// Clients that are slow on purpose, at any moment.
    pub slow: usize,
    /// Connections a second that send garbage.
    pub garbage_a_second: u32,
    /// Handshakes of TLS a second that the server answers with a signature, and that then turn into garbage.
    pub handshakes_a_second: u32,
    /// Requests a second on connections that are kept.
    pub requests_a_second: u32,
    /// Pings a second on WebSockets.
    pub pings_a_second: u32,
}

/// An attack under way. Dropping it ends it.
pub struct Attack {
    over: Arc<AtomicBool>,
    tally: Tally,
    threads: Vec<JoinHandle<()>>,
}

type Counter = Arc<AtomicU64>;

/// What the attackers did.
#[derive(Clone, Default)]
struct Tally {
    slow: Counter,
    garbage: Counter,
    handshakes: Counter,
    requests: Counter,
    pings: Counter,
    failed: Counter,
}

impl Attack {
    /// Begins; returns when all slow clients are connected.
    pub fn begin(server: &Server, force: Force) -> Attack {
        let mut attack = Attack {
            over: Arc::default(),
            tally: Tally::default(),
            threads: Vec::new(),
        };
        let tally = attack.tally.clone();
        // Each kind comes from an address of its own, but for the slow: one may not have so many connections.
        let gate = |address, number| Gate::new(address, number, tally.failed.clone());
        let (plain, secured) = (server.address(), server.secured_address());
        let mut slow = Slow::new(plain, force.slow, &tally);
        slow.step();
        attack.start(TRICKLE, move || slow.step());
        let mut garbage = Visits::of_garbage(gate(plain, 1), tally.garbage.clone());
        attack.start(pause(force.garbage_a_second), move || garbage.step());
        let mut handshakes = Visits::of_handshakes(gate(secured, 2), tally.handshakes.clone());
        attack.start(pause(force.handshakes_a_second), move || handshakes.step());
        let pace = force.requests_a_second;
        let mut requests = Flood::of_requests(gate(plain, 3), pace, tally.requests.clone());
        attack.start(flood::PAUSE, move || requests.step());
        let mut pings = Flood::of_pings(gate(plain, 4), force.pings_a_second, tally.pings.clone());
        attack.start(flood::PAUSE, move || pings.step());
        attack
    }

    /// Ends it; what was done.
    pub fn end(self) -> String {
        self.over.store(true, Ordering::Relaxed);
        self.tally.to_string()
    }

    /// Repeats a step by the clock until the attack is over.
    fn start(&mut self, pause: Duration, mut step: impl FnMut() + Send + 'static) {
        let over = self.over.clone();
        self.threads.push(thread::spawn(move || {
            let mut next = Instant::now();
            while !over.load(Ordering::Relaxed) {
                step();
                next = (next + pause).max(Instant::now() - pause);
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        }));
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |counter: &Counter| counter.load(Ordering::Relaxed);
        write!(
            f,
            "{} slow connections, {} of garbage, {} handshakes, {} requests, {} pings; {} connections not made",
            count(&self.slow),
            count(&self.garbage),
            count(&self.handshakes),
            count(&self.requests),
            count(&self.pings),
            count(&self.failed)
        )
    }
}

/// The time from one to the next of so many a second.
fn pause(a_second: u32) -> Duration {
    Duration::from_secs(1) / a_second
}
