//! Clients that say something that makes no sense, each on a connection of its own.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::Counter;
use super::gate::Gate;

/// Connections that stay open until the next ones have come.
const KEPT: usize = 200;

/// Connections that come one by one.
pub struct Visits {
    gate: Gate,
    /// What makes sense in the beginning.
    hello: Vec<u8>,
    random: u64,
    open: VecDeque<TcpStream>,
    counter: Counter,
}

impl Visits {
    /// Of whoever sends nothing else.
    pub fn of_garbage(gate: Gate, counter: Counter) -> Visits {
        Visits {
            gate,
            hello: Vec::new(),
            random: 0x9e37_79b9_7f4a_7c15,
            open: VecDeque::new(),
            counter,
        }
    }

    /// Of whoever has the server shake hands first, with the same words each time: what it signs is new all the same.
    pub fn of_handshakes(gate: Gate, counter: Counter) -> Visits {
        let config = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
        let config = Arc::new(config.with_no_client_auth());
        let name = "localhost".try_into().expect("a name");
        let mut connection = ClientConnection::new(config, name).expect("a connection");
        let mut hello = Vec::new();
        connection.write_tls(&mut hello).expect("a ClientHello");
        Visits {
            hello,
            ..Visits::of_garbage(gate, counter)
        }
    }

    /// One more.
    pub fn step(&mut self) {
        let mut bytes = self.hello.clone();
        for _ in 0..64 {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            bytes.extend(self.random.to_le_bytes());
        }
        if let Some(stream) = self.gate.open(&bytes) {
            self.counter.fetch_add(1, Ordering::Relaxed);
            self.open.push_back(stream);
        }
        if self.open.len() > KEPT {
            self.open.pop_front();
        }
    }
}
