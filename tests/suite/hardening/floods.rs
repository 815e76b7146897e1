//! So much of what is allowed that somebody else might starve.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use fourcast::config::{Per, Rate};

use super::{flood, impatient, welcomed};
use crate::support::tls;
use crate::support::websocket::{CONTINUATION, PING, PONG};
use crate::support::wire::deadline;
use crate::support::{Fixture, Frame, Listener, PATIENCE, Way, Wire, request};

#[test]
fn fragments_of_nothing_by_the_hundred_thousand() {
    let server = impatient();
    let mut socket = welcomed(&server);
    socket.send(&Frame::text("").unfinished());
    let piece = Frame::new(CONTINUATION, "")
        .unfinished()
        .masked()
        .repeat(1000);
    flood(&mut socket.wire, &piece, 200);
    server.assert_serves();
}

#[test]
fn a_flood_of_pings_whose_pongs_nobody_reads() {
    let server = impatient();
    let mut socket = welcomed(&server);
    let piece = Frame::new(PING, [b'p'; 125]).masked().repeat(100);
    flood_unread(&mut socket.wire, &piece, 200);
    server.assert_serves();
}

#[test]
fn a_flood_of_operations_whose_answers_nobody_reads() {
    let server = impatient();
    let mut socket = welcomed(&server);
    let piece = Frame::text("{\"op\":\"dance\"}").masked().repeat(100);
    flood_unread(&mut socket.wire, &piece, 200);
    server.assert_serves();
}

#[test]
fn a_flood_of_requests_whose_answers_nobody_reads() {
    let server = impatient();
    server.publish("chat", &"x".repeat(10_000));
    let mut wire = server.connect().with_small_receive_buffer();
    let piece = request("GET", "/chat?after=earliest", &[], b"").repeat(50);
    flood_unread(&mut wire, &piece, 200);
    server.assert_serves();
}

/// Sends without ever reading, until the server will take no more or has had enough.
fn flood_unread(wire: &mut Wire, piece: &[u8], most: usize) {
    for _ in 0..most {
        if wire.try_send(piece).is_err() {
            return;
        }
    }
}

#[test]
fn long_polls_sent_ahead_without_end() {
    /// Far more than the buffers of two sockets hold.
    const MOST: usize = 24 << 20;
    // Not over TLS, which blocks where this must not.
    let server = Fixture::bare();
    let mut socket = TcpStream::connect(server.address).expect("a connection");
    socket.set_nonblocking(true).expect("a socket");
    let ahead = request("GET", "/quiet?wait=60&after=now", &[], b"").repeat(1000);
    let mut taken = 0;
    let mut answers = 0;
    let end = deadline();
    while answers < 60 && taken < MOST && Instant::now() < end {
        // Each answer lets the server turn to the next request, and read again.
        match (&socket).write(&ahead) {
            Ok(count) => taken += count,
            Err(_) => drop(server.publish("quiet", "an event")),
        }
        let mut answer = [0; 4096];
        answers += usize::from(socket.read(&mut answer).is_ok_and(|count| count > 0));
    }
    assert!(taken < MOST, "{taken} bytes were taken in");
    assert!(answers == 60, "only {answers} answers");
    drop(socket);
    server.assert_serves();
}

#[test]
fn a_flood_of_closes() {
    let server = impatient();
    let mut socket = welcomed(&server);
    let _ = socket
        .wire
        .try_send(Frame::close(1000, "").masked().repeat(10_000));
    assert_eq!(socket.close_code(), Some(1000));
    socket.wire.expect_end();
    server.assert_serves();
}

#[test]
fn a_flood_of_pongs_that_nobody_asked_for() {
    let server = impatient();
    let mut socket = welcomed(&server);
    socket
        .wire
        .send(Frame::new(PONG, [b'p'; 125]).masked().repeat(10_000));
    socket.send(&Frame::text("{\"op\":\"ping\",\"ref\":7}"));
    assert_eq!(socket.next_op("ack")["ref"], 7);
    server.assert_serves();
}

#[test]
fn a_flood_of_subscriptions() {
    let server = impatient();
    let mut socket = welcomed(&server);
    for number in 0..300 {
        socket.operate(serde_json::json!({"op": "subscribe", "channels": [format!("c{number}")]}));
        let answer = socket.next_json();
        let expected = if number < 100 { "ack" } else { "error" };
        assert_eq!(answer["op"], expected, "{number}: {answer}");
    }
    server.assert_serves();
}

/// Of one who is refused anyway, so that no bound on connections is in his way.
#[test]
fn handshakes_without_end_at_a_full_server() {
    let server = Fixture::secured(|config| {
        config.limits.connections = 1;
        config.limits.exempt = Vec::new();
        config.rates.burst = Duration::from_secs(3600);
        config.rates.requests_per_address = Some(Rate {
            count: 4.try_into().expect("one at least"),
            per: Per::Hour,
        });
    });
    // A handshake and a request.
    let _place = Listener::open(Way::Sse, &server, "/chat");
    for _ in 0..2 {
        assert_eq!(server.get("/chat", &[]).status(), 503);
    }
    let socket = TcpStream::connect(server.address).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let mut stream = tls::secured(socket, &tls::authorities(), &[]);
    let mut hello = Vec::new();
    stream.conn.write_tls(&mut hello).expect("a hello");
    // It is closed, perhaps before that is there.
    let _ = stream.sock.write_all(&hello);
    let mut told = Vec::new();
    let _ = stream.sock.read_to_end(&mut told);
    assert!(told.is_empty(), "{} bytes", told.len());
}
