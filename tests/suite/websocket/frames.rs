//! Frames to the bit (RFC 6455, sections 5 to 8).

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::websocket::{
    BINARY, CLOSE, CONTINUATION, Message, PING, PONG, TEXT, handshake,
};
use crate::support::{Fixture, Frame, Listener, PATIENCE, Way, WebSocket, deadline, request};

fn welcomed(server: &Fixture) -> WebSocket {
    let mut socket = WebSocket::open(server.address, "/chat");
    socket.next_op("welcome");
    socket
}

fn publish(text: &str) -> String {
    json!({"op": "publish", "channel": "said", "data": text, "ref": text}).to_string()
}

/// Sends bytes that must end the connection, and checks the code with which it does.
fn assert_fails(server: &Fixture, name: &str, bytes: &[u8], code: u16) {
    let mut socket = welcomed(server);
    let _ = socket.wire.try_send(bytes);
    assert_eq!(socket.close_code(), Some(code), "{name}");
    socket.wire.expect_end();
}

#[test]
fn a_message_may_come_in_many_frames() {
    let server = Fixture::plain();
    let mut socket = welcomed(&server);
    let text = publish("fragmented é");
    let bytes = text.as_bytes();
    // The second cut goes through the middle of a character.
    let middle = text.find('é').expect("an é") + 1;
    socket.send(&Frame::new(TEXT, &bytes[..10]).unfinished());
    socket.send(&Frame::new(CONTINUATION, &bytes[10..middle]).unfinished());
    socket.send(&Frame::new(CONTINUATION, b"").unfinished());
    socket.send(&Frame::new(CONTINUATION, &bytes[middle..]));
    assert_eq!(socket.next_op("ack")["ref"], "fragmented é");
    socket.close();
}

#[test]
fn a_frame_may_come_in_many_pieces() {
    let server = Fixture::plain();
    let mut socket = welcomed(&server);
    for byte in Frame::text(publish("slowly")).masked() {
        socket.wire.send([byte]);
    }
    assert_eq!(socket.next_op("ack")["ref"], "slowly");
}

#[test]
fn frames_that_come_with_the_handshake_are_read() {
    let server = Fixture::plain();
    let mut bytes = request("GET", "/chat", &handshake(), b"");
    bytes.extend(Frame::text(publish("early")).masked());
    let socket = WebSocket::ask(server.connect(), &bytes);
    let mut socket = socket.unwrap_or_else(|answer| panic!("{}", answer.head.raw));
    socket.next_op("welcome");
    assert_eq!(socket.next_op("ack")["ref"], "early");
}

#[test]
fn a_ping_between_fragments_is_answered_at_once() {
    let server = Fixture::plain();
    let mut socket = welcomed(&server);
    let text = publish("interrupted");
    socket.send(&Frame::new(TEXT, &text.as_bytes()[..5]).unfinished());
    socket.send(&Frame::new(PING, "in between"));
    let pong = socket.next_frame().expect("a pong");
    assert_eq!(pong, Frame::new(PONG, "in between"));
    socket.send(&Frame::new(CONTINUATION, &text.as_bytes()[5..]));
    assert_eq!(socket.next_op("ack")["ref"], "interrupted");
}

#[test]
fn a_pong_carries_what_its_ping_carried() {
    let server = Fixture::plain();
    let mut socket = welcomed(&server);
    for payload in [&b""[..], b"x", b"\x00\xff\xfe", &[b'p'; 125]] {
        socket.send(&Frame::new(PING, payload));
        let pong = socket.next_frame().expect("a pong");
        assert_eq!(pong, Frame::new(PONG, payload));
    }
}

#[test]
fn a_pong_that_nobody_asked_for_is_ignored() {
    let server = Fixture::plain();
    let mut socket = welcomed(&server);
    socket.send(&Frame::new(PONG, "unasked"));
    socket.operate(json!({"op": "ping", "ref": 1}));
    assert_eq!(socket.next_json(), json!({"op": "ack", "ref": 1}));
}

#[test]
fn frames_of_every_length_form_are_taken() {
    let server = Fixture::plain();
    let mut socket = welcomed(&server);
    for length in [0, 1, 50, 60, 125, 126, 127, 1000, 65_535, 65_536, 70_000] {
        let filler = "x".repeat(length);
        let operation = json!({"op": "publish", "channel": "said", "data": filler, "ref": length});
        socket.operate(operation);
        assert_eq!(socket.next_op("ack")["ref"], length);
    }
}

#[test]
fn what_breaks_the_framing_ends_with_1002() {
    let server = Fixture::plain();
    let text = || Frame::text(publish("never"));
    let huge = [&[0x80 | TEXT, 0x80 | 127][..], &[0xff; 8], &[0; 4]].concat();
    for (name, bytes) in [
        ("unmasked", text().unmasked()),
        ("RSV1", text().with_rsv(4).masked()),
        ("RSV2", text().with_rsv(2).masked()),
        ("RSV3", text().with_rsv(1).masked()),
        ("RSV in a ping", Frame::new(PING, "").with_rsv(4).masked()),
        ("opcode 3", Frame::new(3, "x").masked()),
        ("opcode 7", Frame::new(7, "x").masked()),
        ("opcode 11", Frame::new(11, "").masked()),
        ("opcode 15", Frame::new(15, "").masked()),
        (
            "a fragmented ping",
            Frame::new(PING, "x").unfinished().masked(),
        ),
        (
            "a fragmented close",
            Frame::close(1000, "").unfinished().masked(),
        ),
        (
            "a ping of 126 bytes",
            Frame::new(PING, [b'p'; 126]).masked(),
        ),
        (
            "a pong of 126 bytes",
            Frame::new(PONG, [b'p'; 126]).masked(),
        ),
        (
            "a continuation of nothing",
            Frame::new(CONTINUATION, "x").masked(),
        ),
        (
            "a message within a message",
            [
                Frame::text("a").unfinished().masked(),
                Frame::text("b").masked(),
            ]
            .concat(),
        ),
        ("a close of one byte", Frame::new(CLOSE, "x").masked()),
    ] {
        assert_fails(&server, name, &bytes, 1002);
    }
    let mut socket = welcomed(&server);
    socket.wire.send(huge);
    assert!(
        matches!(socket.close_code(), Some(1002 | 1009)),
        "2^64 - 1 bytes"
    );
    server.assert_serves();
    let said = server.get("/said?after=earliest", &[]).json();
    assert_eq!(said["events"], json!([]), "nothing of it was published");
}

#[test]
fn text_that_is_not_utf_8_ends_with_1007() {
    let server = Fixture::plain();
    for (name, bytes) in [
        ("a lone continuation", &b"\x80"[..]),
        ("an overlong slash", b"\xc0\xaf"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("beyond Unicode", b"\xf4\x90\x80\x80"),
        ("a character cut short", b"ok \xe6\xbc"),
        ("0xff", b"\xff"),
    ] {
        assert_fails(&server, name, &Frame::new(TEXT, bytes).masked(), 1007);
    }
    let cut = [
        Frame::new(TEXT, b"\xe6").unfinished().masked(),
        Frame::new(CONTINUATION, b"x").masked(),
    ];
    assert_fails(&server, "a character cut by a frame", &cut.concat(), 1007);
    let mut reason = 1000u16.to_be_bytes().to_vec();
    reason.extend_from_slice(b"\xff");
    let mut socket = welcomed(&server);
    socket.send(&Frame::new(CLOSE, reason));
    assert!(
        matches!(socket.close_code(), Some(1007 | 1002)),
        "a reason that is not UTF-8"
    );
}

#[test]
fn a_message_beyond_the_bound_ends_with_1009() {
    let server = Fixture::start(|config| config.limits.event_bytes = 1000);
    let whole = Frame::text("x".repeat(5000)).masked();
    assert_fails(&server, "one frame", &whole, 1009);
    assert_fails(&server, "its head alone", &whole[..8], 1009);
    let mut parts = Frame::text("x".repeat(900)).unfinished().masked();
    for _ in 0..5 {
        parts.extend(
            Frame::new(CONTINUATION, "x".repeat(900))
                .unfinished()
                .masked(),
        );
    }
    assert_fails(&server, "many frames", &parts, 1009);
}

#[test]
fn a_close_is_answered_with_its_own_code() {
    let server = Fixture::plain();
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ] {
        let mut socket = welcomed(&server);
        socket.send(&Frame::close(code, "on purpose"));
        assert_eq!(socket.close_code(), Some(code));
        socket.wire.expect_end();
    }
    let mut socket = welcomed(&server);
    socket.send(&Frame::new(CLOSE, ""));
    assert!(
        matches!(socket.close_code(), None | Some(1000)),
        "a close without a code"
    );
    socket.wire.expect_end();
    let mut socket = welcomed(&server);
    socket.send(&Frame::close(1000, &"r".repeat(123)));
    assert_eq!(socket.close_code(), Some(1000), "the longest reason");
}

#[test]
fn a_close_code_that_may_not_be_sent_ends_with_1002() {
    let server = Fixture::plain();
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999] {
        assert_fails(
            &server,
            &code.to_string(),
            &Frame::close(code, "").masked(),
            1002,
        );
    }
}

#[test]
fn what_comes_after_a_close_is_discarded() {
    let server = Fixture::plain();
    let mut listener = Listener::open(Way::Sse, &server, "/said");
    let mut socket = welcomed(&server);
    let mut bytes = Frame::close(1000, "").masked();
    bytes.extend(Frame::text(publish("after the close")).masked());
    bytes.extend(Frame::new(PING, "after the close").masked());
    socket.wire.send(bytes);
    let answer = socket.next_frame().expect("a close");
    assert_eq!((answer.opcode, answer.close_code()), (CLOSE, Some(1000)));
    socket.wire.expect_end();
    server.publish("said", "marker");
    assert_eq!(listener.texts(1), ["marker"]);
}

#[test]
fn nothing_is_sent_after_a_close() {
    let server = Fixture::plain();
    let mut socket = welcomed(&server);
    for n in 0..50 {
        server.publish("chat", &n.to_string());
    }
    socket.send(&Frame::close(1000, ""));
    server.publish("chat", "too late");
    assert_eq!(socket.close_code(), Some(1000));
    socket.wire.expect_end();
}

#[test]
fn a_server_that_closes_waits_for_the_answer_and_discards_the_rest() {
    let server = Fixture::start(|config| config.timeouts.close = Duration::from_secs(5));
    let mut socket = welcomed(&server);
    let mut listener = Listener::open(Way::Ndjson, &server, "/said");
    let stopping = server.stop(fourcast::Leaving::Restart);
    socket.next_op("bye");
    let close = socket.next_frame().expect("a close");
    assert_eq!(close.close_code(), Some(1012));
    socket.wire.send(Frame::text(publish("too late")).masked());
    socket.wire.send(Frame::close(1012, "").masked());
    socket.wire.expect_end();
    let told = listener.rest();
    assert!(!format!("{told:?}").contains("too late"), "{told:?}");
    stopping.join().expect("a stop");
}

#[test]
fn a_server_that_closes_does_not_wait_for_ever() {
    let server = Fixture::start(|config| {
        config.timeouts.close = Duration::from_millis(200);
        config.timeouts.drain = PATIENCE;
    });
    let mut socket = welcomed(&server);
    let begun = Instant::now();
    let stopping = server.stop(fourcast::Leaving::Away);
    socket.next_op("bye");
    assert_eq!(socket.close_code(), Some(1001));
    socket.wire.expect_end();
    stopping.join().expect("a stop");
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
}

#[test]
fn a_quiet_peer_is_pinged_and_stays_while_it_answers() {
    let server = Fixture::start(|config| {
        config.heartbeat.interval = Duration::from_millis(100);
        config.heartbeat.patience = Duration::from_secs(5);
    });
    let mut socket = welcomed(&server);
    for _ in 0..4 {
        let ping = socket.next_frame().expect("a ping");
        assert_eq!(ping.opcode, PING);
        socket.send(&Frame::new(PONG, ping.payload));
    }
    server.publish("chat", "still here");
    assert_eq!(socket.next_json()["data"], "still here");
}

#[test]
fn a_peer_that_answers_no_ping_is_let_go() {
    let server = Fixture::start(|config| {
        config.heartbeat.interval = Duration::from_millis(100);
        config.heartbeat.patience = Duration::from_millis(200);
    });
    let mut socket = welcomed(&server);
    let begun = Instant::now();
    let mut pings = 0;
    while let Some(frame) = socket.next_frame() {
        assert!(matches!(frame.opcode, PING | TEXT | CLOSE), "{frame:?}");
        pings += usize::from(frame.opcode == PING);
    }
    assert!(pings >= 1);
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    server.assert_serves();
}

#[test]
fn binary_is_no_operation() {
    let server = Fixture::plain();
    let mut socket = welcomed(&server);
    socket.send(&Frame::new(BINARY, [0, 1, 2]));
    match socket.next_message() {
        Message::Text(text) => assert!(text.contains("\"unsupported_data\""), "{text}"),
        Message::Close(code) => assert_eq!(code, Some(1003)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hang_up_without_a_close_leaves_its_place() {
    let server = Fixture::start(|config| config.limits.connections = 1);
    for _ in 0..5 {
        let end = deadline();
        let bytes = request("GET", "/chat", &handshake(), b"");
        while let Err(answer) = WebSocket::ask(server.connect(), &bytes) {
            assert_eq!(answer.status(), 503);
            assert!(Instant::now() < end, "its place was never free again");
        }
    }
}
