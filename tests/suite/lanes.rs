//! What the server says went over the wire for a lane of the live page, held against the bytes themselves; by TLS they
//! are the least.

use std::time::Instant;

use serde_json::Value;

use crate::support::http::{Response, request};
use crate::support::websocket::{Frame, WebSocket, handshake};
use crate::support::wire::{Wire, deadline};
use crate::support::{Fixture, tls};

const LANE: &str = "a-lane-of-the-page";
const OTHER: &str = "another-lane-of-it";

/// Requests, bytes from the client, bytes to it.
fn figures(server: &Fixture, lane: &str) -> (u64, u64, u64) {
    let answer = server.get(&format!("/-/lanes/{lane}"), &[]).json();
    let figure = |name: &str| answer["lanes"][0][name].as_u64().expect("a figure");
    (figure("requests"), figure("received"), figure("sent"))
}

/// Waits until a lane came to `expected`: what was sent is counted when the system has taken it, and may be read before.
fn expect(server: &Fixture, lane: &str, expected: (u64, u64, u64)) {
    let end = deadline();
    loop {
        let counted = figures(server, lane);
        let is_it = match tls::is_usual() {
            true => {
                let (requests, received, sent) = expected;
                counted.0 == requests && counted.1 >= received && counted.2 >= sent
            }
            false => counted == expected,
        };
        if is_it {
            return;
        }
        assert!(Instant::now() < end, "{counted:?} is not {expected:?}");
    }
}

fn get(target: &str) -> Vec<u8> {
    request("GET", &format!("{target}lane={LANE}"), &[], b"")
}

/// Sends a request and reads its answer; the bytes of both.
fn exchange(wire: &mut Wire, bytes: &[u8]) -> (u64, u64) {
    wire.send(bytes);
    (length(bytes), answered(wire))
}

fn answered(wire: &mut Wire) -> u64 {
    let answer = Response::read(wire, "GET");
    length(answer.head.raw.as_bytes()) + length(answer.text().as_bytes())
}

fn length(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

#[test]
fn requests_and_answers_on_one_connection_are_added_up_to_the_byte() {
    let server = Fixture::plain();
    let mut wire = server.connect();
    let poll = exchange(&mut wire, &get("/chat?"));
    expect(&server, LANE, (1, poll.0, poll.1));
    let body = request("POST", &format!("/chat?lane={LANE}"), &[], &[b'x'; 20_000]);
    let post = exchange(&mut wire, &body);
    exchange(&mut wire, &request("GET", "/chat", &[], b""));
    let refused = exchange(&mut wire, &get("/chat?after=yesterday&"));
    let (received, sent) = (poll.0 + post.0 + refused.0, poll.1 + post.1 + refused.1);
    expect(&server, LANE, (3, received, sent));
    expect(&server, OTHER, (0, 0, 0));
}

#[test]
fn a_request_that_was_read_ahead_counts_for_its_own_lane() {
    let server = Fixture::plain();
    let mut wire = server.connect();
    let first = get("/chat?");
    let second = request(
        "GET",
        &format!("/chat?lane={OTHER}"),
        &[("X-Long", "x")],
        b"",
    );
    wire.send([first.clone(), second.clone()].concat());
    let (one, other) = (answered(&mut wire), answered(&mut wire));
    expect(&server, LANE, (1, length(&first), one));
    expect(&server, OTHER, (1, length(&second), other));
}

#[test]
fn a_long_poll_counts_when_it_is_asked_and_when_it_is_answered() {
    let server = Fixture::plain();
    let mut wire = server.connect();
    let ask = get("/chat?wait=20&");
    wire.send(&ask);
    expect(&server, LANE, (1, length(&ask), 0));
    server.publish("chat", "hello");
    let sent = answered(&mut wire);
    expect(&server, LANE, (1, length(&ask), sent));
}

#[test]
fn a_stream_counts_while_it_runs_with_its_chunk_lines_and_afterwards() {
    let server = Fixture::plain();
    let mut wire = server.connect();
    let ask = get("/chat?transport=sse&");
    wire.send(&ask);
    let mut sent = length(&wire.take_through(b"\r\n\r\n", deadline()).expect("a head"));
    sent += length(
        &wire
            .take_through(b"\n\n\r\n", deadline())
            .expect("a welcome"),
    );
    expect(&server, LANE, (1, length(&ask), sent));
    server.publish("chat", "hello");
    sent += length(
        &wire
            .take_through(b"\n\n\r\n", deadline())
            .expect("an event"),
    );
    expect(&server, LANE, (1, length(&ask), sent));
    drop(wire);
    server.assert_serves();
    expect(&server, LANE, (1, length(&ask), sent));
}

#[test]
fn a_websocket_counts_its_handshake_and_the_frames_of_both_sides() {
    let server = Fixture::plain();
    let ask = request("GET", &format!("/chat?lane={LANE}"), &handshake(), b"");
    let mut socket = WebSocket::ask(server.connect(), &ask).expect("an upgrade");
    let mut sent = length(socket.head.raw.as_bytes());
    sent += length(&Frame::text(socket.next_text()).unmasked());
    expect(&server, LANE, (1, length(&ask), sent));
    let operation = Frame::text(r#"{"op":"publish","data":"hello","ref":1}"#);
    socket.send(&operation);
    for _ in ["the event", "the ack"] {
        sent += length(&Frame::text(socket.next_text()).unmasked());
    }
    let received = length(&ask) + length(&operation.masked());
    expect(&server, LANE, (1, received, sent));
}

#[test]
fn lanes_are_told_in_the_order_in_which_they_are_asked_for_with_the_servers_time() {
    let server = Fixture::plain();
    exchange(&mut server.connect(), &get("/chat?"));
    let answer = server.get(&format!("/-/lanes/{OTHER},{LANE}"), &[]);
    assert_eq!(answer.head.must("Content-Type"), "application/json");
    assert!(answer.head.must("Cache-Control").contains("no-store"));
    let told = answer.json();
    assert!(
        told["time"]
            .as_u64()
            .is_some_and(|time| time > 1_700_000_000_000)
    );
    let lanes: Vec<_> = told["lanes"].as_array().into_iter().flatten().collect();
    let names: Vec<&Value> = lanes.iter().map(|lane| &lane["lane"]).collect();
    assert_eq!(names, [OTHER, LANE]);
    assert_eq!(lanes[1]["requests"], 1);
}

#[test]
fn without_the_page_a_lane_is_a_parameter_that_nobody_knows() {
    let server = Fixture::start(|config| config.page.enabled = Some(false));
    assert_eq!(server.get(&format!("/chat?lane={LANE}"), &[]).status(), 200);
    let answer = server.get(&format!("/-/lanes/{LANE}"), &[]);
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.refusal(), "not_found");
}

#[test]
fn what_is_no_lane_is_refused_where_it_is_asked_for_and_ignored_where_it_is_named() {
    let server = Fixture::plain();
    assert_eq!(server.get("/-/lanes/short", &[]).refusal(), "bad_parameter");
    assert_eq!(server.get("/chat?lane=short", &[]).status(), 200);
    assert_eq!(
        server.post(&format!("/-/lanes/{LANE}"), &[], "x").status(),
        405
    );
}
