//! Publishes a second of the whole server, by requests on kept connections.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use fourcast::Server;
use fourcast::config::{JournalKind, Sync};

use super::fixture::{Scratch, channel, config, config_that_keeps_all};
use super::publishing::{BYTES, CHANNELS, FULL, KINDS, PUBLISHERS};
use super::{Plan, load, table};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Each kind of journal: one channel or one for each connection, with room, and with an event going for each that
/// comes.
pub fn kinds(plan: &Plan, scratch: &Scratch) {
    for (channels, is_full) in [(1, false), (CHANNELS, false), (1, true), (CHANNELS, true)] {
        let room = if is_full { "full" } else { "with room" };
        table::heading(
            &format!(
                "the server: 16 connections publish 200 bytes by POST, channels {room}: {channels}"
            ),
            &["a second", "to memory"],
        );
        let mut memory = None;
        for (name, kind, sync) in KINDS {
            let directory = scratch.within("http");
            let server = server(&directory, kind, sync, is_full);
            let rate = publish(&server, channels, is_full, plan.span);
            let to_memory = rate / *memory.get_or_insert(rate);
            table::row(name, &[table::rate(rate), table::ratio(to_memory)]);
        }
    }
}

fn server(directory: &Scratch, kind: JournalKind, sync: Sync, is_full: bool) -> Server {
    let mut config = match is_full {
        true => config(directory, kind, sync),
        false => config_that_keeps_all(directory, sync),
    };
    config.journal.kind = kind;
    config.listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()];
    config.admin.listen = None;
    Server::start(config).expect("a server")
}

fn publish(server: &Server, channels: u64, is_full: bool, span: Duration) -> f64 {
    let before = if is_full { FULL } else { FULL / 10 };
    load::together(PUBLISHERS, span, |number| {
        let mut publisher = Publisher::connect(
            server.address().expect("an address"),
            number as u64 % channels,
        );
        (0..before).for_each(|_| publisher.publish());
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
