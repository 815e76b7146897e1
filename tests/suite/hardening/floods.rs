//! So much of what is allowed that somebody else might starve.

use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use fourcast::config::{Per, Rate};

use super::{flood, impatient, refusals, wait_for_refusal, welcomed};
use crate::listen::{self, Place};
use crate::support::websocket::{CONTINUATION, PING, PONG};
use crate::support::wire::deadline;
use crate::support::{Fixture, Frame, Listener, PATIENCE, Way, WebSocket, Wire, request, tls};

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
    assert_eq!(socket.close_code(), Some(1008), "it may go on for ever");
    server.assert_serves();
}

/// One pong may wait, the one to the last of them.
#[test]
fn a_flood_of_pings_whose_pongs_nobody_reads() {
    const ROUNDS: usize = 50;
    const PINGS: usize = 200;
    // Where a TCP is full of what nobody reads, Linux drops what acknowledges the pings too.
    let place = Place::new("pings");
    let server = listen::server(&place.socket(), |config| {
        config.limits.send_buffer = 8 * 1024;
    });
    let mut witness = Listener::open(Way::Sse, &server, "/done");
    let wire = Wire::connect_unix(&place.socket());
    let mut socket = WebSocket::open_on(wire, "/-/socket", &[]);
    socket.next_op("welcome");
    let pings = Frame::new(PING, [b'p'; 125]).masked().repeat(PINGS);
    let publish = Frame::text("{\"op\":\"publish\",\"channel\":\"done\",\"data\":1}");
    for _ in 0..ROUNDS {
        socket.wire.send(&pings);
        socket.send(&publish);
        witness.next_event();
    }
    // The rest are acknowledgements.
    let mut frames = std::iter::from_fn(|| socket.next_frame());
    let (mut pongs, mut others) = (0, 0);
    while others < ROUNDS {
        let frame = frames.next().expect("a frame");
        pongs += usize::from(frame.opcode == PONG);
        others += usize::from(frame.opcode != PONG);
    }
    assert!(pongs < ROUNDS * PINGS / 2, "{pongs} pongs were kept");
    server.assert_serves();
}

#[test]
fn a_flood_of_operations_whose_answers_nobody_reads() {
    const OPERATIONS: usize = 20_000;
    let server = Fixture::start(|config| {
        config.limits.send_buffer = 8 * 1024;
        // Long enough to answer all of them, if nothing else were in the way.
        config.timeouts.write = Duration::from_secs(2);
        config.admin.listen = Some(([127, 0, 0, 1], 0).into());
    });
    let wire = server.connect().with_small_receive_buffer();
    let mut socket = WebSocket::open_on(wire, "/-/socket", &[]);
    socket.next_op("welcome");
    let flood = Frame::text("{\"op\":\"dance\"}").masked();
    // It is cut off meanwhile.
    let _ = socket.wire.try_send(flood.repeat(OPERATIONS));
    wait_for_refusal(&server, "too_slow");
    let answered = refusals(&server, "bad_parameter");
    assert!(answered < OPERATIONS / 20, "{answered} answers were kept");
    server.assert_serves();
}

#[test]
fn a_flood_of_requests_whose_answers_nobody_reads() {
    /// Far more than the buffers of two sockets hold, and what is read of whoever was refused.
    const MOST: usize = 64 << 20;
    let server = impatient();
    server.publish("chat", &"x".repeat(10_000));
    let mut wire = server.connect().with_small_receive_buffer();
    let piece = request("GET", "/chat?after=earliest", &[], b"").repeat(1000);
    let mut pieces = 0..MOST / piece.len();
    let error = pieces.find_map(|_| wire.try_send(&piece).err());
    let kind = error.map(|error| error.kind());
    let is_cut_off = matches!(kind, Some(ConnectionReset | BrokenPipe));
    assert!(is_cut_off, "nobody cuts it off: {kind:?}");
    server.assert_serves();
}

#[test]
fn a_flood_of_requests_beyond_the_rate_on_a_connection_that_is_kept() {
    let server = Fixture::start(|config| {
        config.limits.exempt = Vec::new();
        config.rates.requests_per_address = Some(Rate {
            count: std::num::NonZeroU32::MIN,
            per: Per::Hour,
        });
        config.rates.burst = Duration::from_secs(3600);
    });
    let mut wire = server.connect();
    wire.send(request("GET", "/chat", &[], b"").repeat(1000));
    let answers = String::from_utf8(wire.take_rest(deadline())).expect("text");
    let answers = answers.matches("HTTP/1.1 ").count();
    assert!(answers < 100, "{answers} answers");
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
