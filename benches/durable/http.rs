//! Publishes a second of the whole server, by requests on kept connections.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use fourcast::Server;
use fourcast::config::{JournalKind, Sync};

use super::fixture::{Scratch, channel, config};
use super::publishing::{BYTES, CHANNELS, FULL, KINDS, PUBLISHERS};
use super::{Plan, load, table};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Each kind of journal, its channels full.
pub fn kinds(plan: &Plan, scratch: &Scratch) {
    table::heading(
        "the server: 16 connections publish 200 bytes by POST, channels full",
        &["a second", "to memory"],
    );
    let mut memory = None;
    for (name, kind, sync) in KINDS {
        let directory = scratch.within("http");
        let rate = publish(&server(&directory, kind, sync), plan.span);
        let to_memory = rate / *memory.get_or_insert(rate);
        table::row(name, &[table::rate(rate), table::ratio(to_memory)]);
    }
}

fn server(directory: &Scratch, kind: JournalKind, sync: Sync) -> Server {
    let mut config = config(directory, kind, sync);
    config.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Server::start(config).expect("a server")
}

fn publish(server: &Server, span: Duration) -> f64 {
    load::together(PUBLISHERS, span, |number| {
        let mut publisher = Publisher::connect(server.address(), number as u64 % CHANNELS);
        (0..FULL).for_each(|_| publisher.publish());
        move || publisher.publish()
    })
}

/// A connection, and the request that it repeats.
struct Publisher {
    socket: TcpStream,
    request: String,
}

impl Publisher {
    fn connect(server: SocketAddr, number: u64) -> Self {
        let socket = TcpStream::connect(server).expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
        socket.set_nodelay(true).expect("a socket");
        let (channel, payload) = (channel(number), "x".repeat(BYTES));
        let request = format!(
            "POST /{channel} HTTP/1.1\r\nHost: {server}\r\nContent-Length: {BYTES}\r\n\r\n{payload}"
        );
        Publisher { socket, request }
    }

    /// Publishes once, and waits for the acknowledgement, whose body ends as nothing else in it does.
    fn publish(&mut self) {
        self.socket
            .write_all(self.request.as_bytes())
            .expect("a server");
        let (mut answer, mut length) = ([0; 4096], 0);
        while !answer[..length].ends_with(b"}\n") {
            let count = self.socket.read(&mut answer[length..]).expect("an answer");
            assert!(count > 0, "the connection has ended");
            length += count;
        }
        assert!(
            answer.starts_with(b"HTTP/1.1 201 "),
            "a publish was refused"
        );
    }
}
