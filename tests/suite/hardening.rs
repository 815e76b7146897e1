//! One named attack a test. After each, an honest client is served as ever.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::wire::Arrival;
use crate::support::{Fixture, WebSocket, Wire, deadline, exchange};

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
        config.admin.listen = Some(([127, 0, 0, 1], 0).into());
    })
}

/// How often the server refused with this code.
fn refusals(server: &Fixture, code: &str) -> usize {
    let answer = exchange(server.admin(), "GET", "/metrics", &[], b"");
    let name = format!("fourcast_refusals_total{{code=\"{code}\"}} ");
    let mut lines = answer.text().lines();
    let count = lines.find_map(|line| line.strip_prefix(&name));
    count.map_or(0, |count| count.parse().expect("a number"))
}

fn wait_for_refusal(server: &Fixture, code: &str) {
    let end = deadline();
    while refusals(server, code) == 0 {
        assert!(Instant::now() < end, "nobody was refused as {code}");
        thread::yield_now();
    }
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
