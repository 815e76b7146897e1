//! No client can starve the others: what one has of connections, of requests and of memory is bounded, and whoever goes
//! beyond is told when to come back.

mod connections;
mod keys;
mod memory;
mod rates;

use std::net::Ipv4Addr;

use crate::support::{Fixture, Response, Wire, request, tls};

/// Two clients that come from addresses of their own.
const GREEDY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const HONEST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

fn connect(server: &Fixture, from: Ipv4Addr) -> Wire {
    Wire::connect_from(from, server.address)
}

/// How many requests are counted of so many, on so many new connections: by TLS each handshake is one more.
fn counted(requests: u32, connections: u32) -> u32 {
    match tls::is_usual() {
        true => requests + connections,
        false => requests,
    }
}

/// One request of `from`, on a connection that is kept.
fn ask(wire: &mut Wire, method: &str, target: &str, body: &[u8]) -> Response {
    wire.send(request(method, target, &[], body));
    Response::read(wire, method)
}
