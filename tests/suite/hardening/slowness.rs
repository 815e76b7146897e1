//! A peer that takes its time, or never says or reads a word.

use std::time::Duration;

use super::impatient;
use crate::support::{Fixture, Response, Way, Wire, request};

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
    server.assert_serves();
}
