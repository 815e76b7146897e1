//! Clients that say what makes sense, and far more of it than they may, on connections that they keep.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Counter;
use super::gate::Gate;

/// The time between two pieces on each connection.
pub const PAUSE: Duration = Duration::from_millis(20);
const CONNECTIONS: u32 = 10;

/// Connections that are kept as long as the server keeps them; who was thrown out comes again.
pub struct Flood {
    gate: Gate,
    beginning: &'static str,
    /// What is sent at a time, and how many it is.
    piece: Vec<u8>,
    count: u32,
    clients: Vec<Option<TcpStream>>,
    counter: Counter,
}

impl Flood {
    /// Of requests that are sent ahead.
    pub fn of_requests(gate: Gate, a_second: u32, counter: Counter) -> Flood {
        let request = "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n";
        Self::new(gate, "", request.as_bytes(), a_second, counter)
    }

    /// Of pings on WebSockets.
    pub fn of_pings(gate: Gate, a_second: u32, counter: Counter) -> Flood {
        let handshake = "GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        // Masked with zeros, four bytes long (RFC 6455, section 5.2).
        let ping = b"\x89\x84\0\0\0\0ping";
        Self::new(gate, handshake, ping, a_second, counter)
    }

    fn new(
        gate: Gate,
        beginning: &'static str,
        one: &[u8],
        a_second: u32,
        counter: Counter,
    ) -> Flood {
        let steps_a_second = Duration::from_secs(1).div_duration_f64(PAUSE) as u32;
        let count = a_second.div_ceil(steps_a_second * CONNECTIONS);
        Flood {
            gate,
            beginning,
            piece: one.repeat(count as usize),
            count,
            clients: (0..CONNECTIONS).map(|_| None).collect(),
            counter,
        }
    }

    /// A piece on each connection.
    pub fn step(&mut self) {
        for client in &mut self.clients {
            let is_there = client
                .as_mut()
                .is_some_and(|stream| send(stream, &self.piece));
            if is_there {
                self.counter.fetch_add(self.count.into(), Ordering::Relaxed);
            } else {
                *client = self.gate.open(self.beginning.as_bytes());
            }
        }
    }
}

/// Throws away what was answered and sends this; whether both sides go on.
fn send(stream: &mut TcpStream, piece: &[u8]) -> bool {
    let mut answers = [0; 16 * 1024];
    loop {
        match stream.read(&mut answers) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(_) => return false,
        }
    }
    // What was sent in part cannot be gone on with.
    stream.write(piece).is_ok_and(|count| count == piece.len())
}
