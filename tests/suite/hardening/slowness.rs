//! A peer that takes its time, or never says or reads a word.

use std::time::{Duration, Instant};

use super::{impatient, wait_for_refusal};
use crate::support::wire::{Arrival, deadline};
use crate::support::{Fixture, Listener, Response, Way, Wire, request};

#[test]
fn half_a_request_and_silence_from_many() {
    let server = impatient();
    let mut half: Vec<Wire> = (0..60).map(|_| server.connect()).collect();
    for (number, wire) in half.iter_mut().enumerate() {
        let bytes = request("POST", "/chat", &[], b"a body that is long enough");
        wire.send(&bytes[..1 + number % (bytes.len() - 1)]);
    }
    server.assert_serves();
    for wire in &mut half {
        let answer = Response::read(wire, "POST");
        assert_eq!(answer.status(), 408);
    }
}

#[test]
fn connections_that_never_say_a_word() {
    let server = Fixture::start(|config| {
        config.timeouts.head = Duration::from_millis(300);
        config.timeouts.idle = Duration::from_millis(300);
    });
    let mut mute: Vec<Wire> = (0..30).map(|_| server.connect()).collect();
    server.assert_serves();
    for wire in &mut mute {
        wire.take_rest(crate::support::deadline());
    }
}

#[test]
fn connections_that_come_and_go() {
    let server = Fixture::start(|config| config.limits.connections = 100);
    for _ in 0..300 {
        drop(server.connect());
    }
    server.wait_for_status("/-/healthy", 200);
    server.assert_serves();
}

#[test]
fn a_client_that_never_reads() {
    let server = impatient();
    let mut never = server.connect().with_small_receive_buffer();
    never.send(request("GET", "/chat", &Way::Sse.fields(), b""));
    for _ in 0..50 {
        server.publish("chat", &"x".repeat(20_000));
    }
    wait_for_refusal(&server, "too_slow");
    server.assert_serves();
}

/// Sends `begun` and then a byte now and then, until the server has had enough: each byte is in time, and all of them
/// together are not.
fn trickle(server: &Fixture, begun: impl AsRef<[u8]>, byte: &[u8]) -> u16 {
    let mut wire = server.connect();
    wire.send(begun);
    let end = deadline();
    while wire.pause() == Arrival::Nothing {
        assert!(Instant::now() < end, "it waits for ever");
        if wire.try_send(byte).is_err() {
            break;
        }
    }
    Response::read(&mut wire, "POST").status()
}

#[test]
fn a_head_byte_by_byte() {
    let server = impatient();
    let begun = "GET /chat HTTP/1.1\r\nHost: localhost\r\nX: ";
    assert_eq!(trickle(&server, begun, b"y"), 408);
    server.assert_serves();
}

#[test]
fn a_head_of_ever_new_fields() {
    let server = impatient();
    let begun = "GET /chat HTTP/1.1\r\nHost: localhost\r\n";
    assert_eq!(trickle(&server, begun, b"X: y\r\n"), 408);
    server.assert_serves();
}

#[test]
fn a_body_byte_by_byte() {
    let server = impatient();
    let begun = "POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n";
    assert_eq!(trickle(&server, begun, b"y"), 408);
    server.assert_serves();
}

#[test]
fn a_chunk_byte_by_byte() {
    let server = impatient();
    let begun = "POST /chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(trickle(&server, begun, b"1\r\ny\r\n"), 408);
    server.assert_serves();
}

/// How many files this process may open beside those of a server and of other tests.
fn files_left() -> usize {
    const OTHERS: usize = 1000;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).map_or(usize::MAX, |limit| limit.saturating_sub(OTHERS))
    })
}

#[test]
fn half_open_connections_by_the_thousand() {
    let many = std::env::var("SUITE_HALF_OPEN");
    let many = many.map_or(1000, |many| many.parse().expect("a number"));
    let many = files_left().min(many);
    println!("{many} half-open connections");
    let server = Fixture::start(|config| {
        config.limits.connections = 200;
        config.timeouts.head = Duration::from_millis(300);
        config.timeouts.close = Duration::from_millis(300);
    });
    let mut listener = Listener::open(Way::Sse, &server, "/honest");
    let mut publisher = server.connect();
    let mut publish = || {
        publisher.send(request("POST", "/honest", &[], b"still here"));
        assert_eq!(Response::read(&mut publisher, "POST").status(), 201);
        assert_eq!(listener.texts(1), ["still here"]);
    };
    publish();
    let mut half = Vec::new();
    for number in 0..many {
        let mut wire = server.connect();
        // Beyond the bound it may be closed already.
        let _ = wire.try_send(&b"GET / HTTP/1.1\r\nHost: localhost\r\n"[..number % 30]);
        half.push(wire);
    }
    // Who was in is served as ever, and who comes gets in as soon as the deadline has freed a place.
    publish();
    server.wait_for_status("/chat", 200);
}

#[test]
fn websockets_that_come_and_go() {
    let server = Fixture::start(|config| config.limits.connections = 50);
    for number in 0..200 {
        // Whoever comes while those who went are not yet gone is turned away, and that is all.
        let fields = [("Connection", "close")];
        let bytes = request(
            "GET",
            "/-/socket",
            &[&Way::WebSocket.fields()[..], &fields[..number % 2]].concat(),
            b"",
        );
        drop(server.connect().try_send(bytes));
    }
    server.wait_for_status("/chat", 200);
}
