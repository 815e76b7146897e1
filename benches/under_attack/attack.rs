//! The attackers: clients that hold what they were given as long as they can, and clients that send garbage and come
//! again.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The time between two bytes of whoever trickles.
const TRICKLE: Duration = Duration::from_secs(1);

/// How many attack.
#[derive(Clone, Copy)]
pub struct Force {
    /// Clients that are slow on purpose, at any moment.
    pub slow: usize,
    /// Connections a second that send garbage.
    pub garbage_a_second: u64,
}

/// An attack under way. Dropping it ends it.
pub struct Attack {
    over: Arc<AtomicBool>,
    tally: Arc<Tally>,
    threads: Vec<JoinHandle<()>>,
}

/// What the attackers did.
#[derive(Default)]
struct Tally {
    slow: AtomicU64,
    garbage: AtomicU64,
    failed: AtomicU64,
}

impl Attack {
    /// Begins; returns when all slow clients are connected.
    pub fn begin(server: SocketAddr, force: Force) -> Attack {
        let mut attack = Attack {
            over: Arc::default(),
            tally: Arc::default(),
            threads: Vec::new(),
        };
        publish_large(server);
        let mut slow = Slow {
            server,
            clients: Vec::new(),
            tally: attack.tally.clone(),
        };
        slow.clients.extend((0..force.slow).map(|_| None));
        slow.step();
        attack.start(TRICKLE, move || slow.step());
        let pause =
            Duration::from_secs(1) / u32::try_from(force.garbage_a_second).unwrap_or(u32::MAX);
        let mut garbage = Garbage {
            server,
            random: 0x9e37_79b9_7f4a_7c15,
            open: Vec::new(),
            tally: attack.tally.clone(),
        };
        attack.start(pause, move || garbage.step());
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
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        write!(
            f,
            "{} slow connections, {} of garbage, {} not made",
            count(&self.slow),
            count(&self.garbage),
            count(&self.failed)
        )
    }
}

/// Those who are slow; who was thrown out comes again.
struct Slow {
    server: SocketAddr,
    clients: Vec<Option<TcpStream>>,
    tally: Arc<Tally>,
}

impl Slow {
    /// A byte of everyone. A third never ends its head, a third its body, and a third asks for more than its socket
    /// holds and does not read.
    fn step(&mut self) {
        for (number, client) in self.clients.iter_mut().enumerate() {
            let (beginning, piece) = match number % 3 {
                0 => ("GET /honest HTTP/1.1\r\nHost: localhost\r\nX-", "a"),
                1 => (
                    "POST /dishonest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
                    "a",
                ),
                _ => (
                    "GET /large,honest?last=1 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
                    "",
                ),
            };
            let is_there = client.as_mut().is_some_and(|stream| {
                is_open(stream, piece.is_empty()) && stream.write_all(piece.as_bytes()).is_ok()
            });
            if !is_there {
                *client = connect(self.server, beginning.as_bytes());
                let counter = match client {
                    Some(_) => &self.tally.slow,
                    None => &self.tally.failed,
                };
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Whether the server has not ended the connection; of whoever does not read it shows when it cannot be peeked at.
fn is_open(stream: &TcpStream, is_reader: bool) -> bool {
    let mut byte = [0];
    match stream.peek(&mut byte) {
        Ok(0) => false,
        // An answer to whoever is to say more is a refusal.
        Ok(_) => is_reader,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}

/// An event larger than what the system holds for one socket.
fn publish_large(server: SocketAddr) {
    let body = "a".repeat(1024 * 1024);
    let length = body.len();
    let request = format!(
        "POST /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(server).expect("a connection");
    stream.write_all(request.as_bytes()).expect("an event");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

/// Those who say nothing that makes sense.
struct Garbage {
    server: SocketAddr,
    random: u64,
    open: Vec<TcpStream>,
    tally: Arc<Tally>,
}

impl Garbage {
    /// One more connection: bytes at random, and of those before only as many are kept as come in a second.
    fn step(&mut self) {
        let mut bytes = [0; 512];
        for piece in bytes.chunks_mut(8) {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            piece.copy_from_slice(&self.random.to_le_bytes());
        }
        match connect(self.server, &bytes) {
            Some(stream) => {
                self.tally.garbage.fetch_add(1, Ordering::Relaxed);
                self.open.push(stream);
            }
            None => drop(self.tally.failed.fetch_add(1, Ordering::Relaxed)),
        }
        if self.open.len() > 200 {
            let mut oldest = self.open.remove(0);
            let _ = oldest.read(&mut bytes);
        }
    }
}

fn connect(server: SocketAddr, beginning: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&server, Duration::from_secs(1)).ok()?;
    stream.set_nonblocking(true).ok()?;
    stream.write_all(beginning).ok()?;
    Some(stream)
}
