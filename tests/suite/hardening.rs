//! One named attack a test. After each, an honest client is served as ever.

use std::time::Duration;

use crate::support::wire::Arrival;
use crate::support::{Fixture, WebSocket, Wire};

mod bombs;
mod floods;
mod frames;
mod injection;
mod names;
mod pages;
mod proxies;
mod rights;
mod slowness;
mod smuggling;
mod tokens;

/// Deadlines so short that what must time out does so within a test.
fn impatient() -> Fixture {
    Fixture::start(|config| {
        config.timeouts.head = Duration::from_millis(300);
        config.timeouts.body = Duration::from_millis(300);
        config.timeouts.write = Duration::from_millis(300);
        config.timeouts.close = Duration::from_millis(300);
        config.limits.send_buffer = 8 * 1024;
    })
}

fn welcomed(server: &Fixture) -> WebSocket {
    let mut socket = WebSocket::open(server.address, "/-/socket");
    socket.next_op("welcome");
    socket
}

/// Sends `piece` again and again until the server answers or refuses more, `most` times.
fn flood(wire: &mut Wire, piece: &[u8], most: usize) -> usize {
    for sent in 0..most {
        if wire.try_send(piece).is_err() || !wire.unread.is_empty() {
            return sent;
        }
        if sent % 16 == 0 && wire.pause_briefly() != Arrival::Nothing {
            return sent;
        }
    }
    most
}
