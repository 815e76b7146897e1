//! The share that one address has of the connections.

use std::num::NonZeroUsize;
use std::time::Instant;

use super::{GREEDY, HONEST, ask, connect};
use crate::support::sse::EventSource;
use crate::support::{Fixture, Listener, Response, Way, Wire, deadline, request};

/// With so many connections for an address, none of which is exempt.
fn server(share: usize) -> Fixture {
    Fixture::start(|config| {
        config.limits.connections_per_address = NonZeroUsize::new(share);
        config.limits.exempt = Vec::new();
    })
}

/// A connection that has its place.
fn place(server: &Fixture) -> Wire {
    let mut wire = connect(server, GREEDY);
    assert_eq!(ask(&mut wire, "GET", "/chat", b"").status(), 200);
    wire
}

/// Whether a new connection of the greedy one is served, once it is let in or not.
fn answer(server: &Fixture) -> Option<Response> {
    let mut wire = connect(server, GREEDY);
    wire.send(request("GET", "/chat", &[("Connection", "close")], b""));
    Response::try_read(&mut wire, "GET")
}

#[test]
fn an_address_that_has_its_share_is_refused_and_others_are_served() {
    let server = server(3);
    let places: Vec<_> = (0..3).map(|_| place(&server)).collect();
    let refused = answer(&server).expect("an answer");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.refusal(), "too_many_of_one");
    assert!(
        refused
            .head
            .must("Retry-After")
            .parse::<u64>()
            .expect("seconds")
            > 0
    );
    let mut other = connect(&server, HONEST);
    assert_eq!(ask(&mut other, "GET", "/chat", b"").status(), 200);
    drop(places);
    // The places are free as soon as the server has seen the ends of those who had them.
    let end = deadline();
    while answer(&server).is_none_or(|answer| answer.status() != 200) {
        assert!(Instant::now() < end, "places are given back");
    }
}

#[test]
fn an_eventsource_beyond_the_share_is_told_to_come_back() {
    let server = server(1);
    let _place = place(&server);
    let bytes = request("GET", "/chat", &Way::Sse.fields(), b"");
    let mut source = EventSource::open(connect(&server, GREEDY), &bytes);
    let bye = source.next_message().expect("a goodbye");
    assert_eq!(bye.kind, "bye");
    assert!(
        bye.data.contains(r#""code":1013,"retry_ms":"#),
        "{}",
        bye.data
    );
    assert!(source.retry.is_some());
    assert_eq!(source.next_message(), None);
}

#[test]
fn streams_count_as_long_as_they_last() {
    let server = Fixture::start(|config| {
        config.limits.connections_per_address = NonZeroUsize::new(4);
        config.limits.exempt = Vec::new();
    });
    let streams = [Way::Sse, Way::Ndjson, Way::WebSocket];
    let listeners = streams.map(|way| Listener::open(way, &server, "/chat"));
    let mut last = server.connect();
    assert_eq!(ask(&mut last, "GET", "/chat", b"").status(), 200);
    assert_eq!(server.get("/chat", &[]).status(), 429);
    drop(listeners);
    drop(last);
    server.wait_for_status("/chat", 200);
}

#[test]
fn loopback_is_not_counted_unless_it_is_said_so() {
    let server = Fixture::start(|config| {
        config.limits.connections_per_address = NonZeroUsize::new(1);
    });
    let _places: Vec<_> = (0..20).map(|_| place(&server)).collect();
    server.assert_serves();
}

/// Heads that never end, from one address, far more than doormen: another one that is refused is told so.
#[test]
fn a_flood_of_one_address_does_not_take_the_doormen_of_the_others() {
    let server = Fixture::start(|config| {
        config.limits.connections = 2;
        config.limits.exempt = Vec::new();
    });
    let _places = [place(&server), place(&server)];
    let flood: Vec<_> = (0..100)
        .map(|_| {
            let mut wire = connect(&server, GREEDY);
            // Those beyond the places of one address are closed at once.
            let _ = wire.try_send("GET /chat HTTP/1.1\r\nHost:");
            wire
        })
        .collect();
    let mut other = connect(&server, HONEST);
    let refused = ask(&mut other, "GET", "/chat", b"");
    assert_eq!(refused.refusal(), "overloaded");
    drop(flood);
}
