//! Clients that hold what they were given as long as they can.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;

use super::gate::Gate;
use super::{Counter, Tally};

/// Addresses that they come from.
const ADDRESSES: u8 = 8;
/// Events that do not fit into the sockets of whoever reads them, all of which the journal keeps: readers pin all of them.
const LARGE_EVENTS: usize = 48;

/// Those who are slow; who was thrown out comes again.
pub struct Slow {
    gates: Vec<Gate>,
    clients: Vec<Option<TcpStream>>,
    counter: Counter,
}

impl Slow {
    /// So many, none of them connected yet. Publishes what they will not read.
    pub fn new(server: SocketAddr, count: usize, tally: &Tally) -> Slow {
        for number in 0..LARGE_EVENTS {
            publish_large(server, number);
        }
        let gate = |number| Gate::new(server, 100 + number, tally.failed.clone());
        Slow {
            gates: (0..ADDRESSES).map(gate).collect(),
            clients: (0..count).map(|_| None).collect(),
            counter: tally.slow.clone(),
        }
    }

    /// A byte of everyone. A third never ends its head, a third its body, and a third asks for more than its socket
    /// holds and does not read.
    pub fn step(&mut self) {
        let gates = self.gates.iter().cycle();
        for ((number, client), gate) in self.clients.iter_mut().enumerate().zip(gates) {
            let (beginning, piece) = match number % 3 {
                0 => (HEAD.to_owned(), "a"),
                1 => (BODY.to_owned(), "a"),
                _ => (reader(number / 3 % LARGE_EVENTS), ""),
            };
            let is_there = client.as_mut().is_some_and(|stream| {
                is_open(stream, piece.is_empty()) && stream.write_all(piece.as_bytes()).is_ok()
            });
            if !is_there {
                *client = gate.open(beginning.as_bytes());
                let made = u64::from(client.is_some());
                self.counter.fetch_add(made, Ordering::Relaxed);
            }
        }
    }
}

const HEAD: &str = "GET /honest HTTP/1.1\r\nHost: localhost\r\nX-";
const BODY: &str = "POST /dishonest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";

fn reader(number: usize) -> String {
    format!(
        "GET /large/{number},honest?last=1 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    )
}

/// Whether the server has not ended the connection; of whoever does not read it shows when it cannot be peeked at.
fn is_open(stream: &TcpStream, is_reader: bool) -> bool {
    let mut byte = [0];
    match stream.peek(&mut byte) {
        Ok(0) => false,
        // An answer to whoever is to say more is a refusal.
        Ok(_) => is_reader,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// An event larger than what the system holds for one socket.
fn publish_large(server: SocketAddr, number: usize) {
    let body = "a".repeat(1024 * 1024);
    let length = body.len();
    let request = format!(
        "POST /large/{number} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(server).expect("a connection");
    stream.write_all(request.as_bytes()).expect("an event");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}
