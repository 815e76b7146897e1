//! Frames of a WebSocket that no client may send.

use fourcast::Leaving;
use serde_json::json;

use super::{impatient, welcomed};
use crate::support::websocket::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
use crate::support::{Frame, WebSocket};

#[test]
fn an_unmasked_frame() {
    fails_with(&Frame::text("{\"op\":\"ping\"}").unmasked(), 1002);
}

#[test]
fn a_frame_with_a_reserved_opcode() {
    fails_with(&Frame::new(5, "x").masked(), 1002);
}

#[test]
fn a_control_frame_of_126_bytes() {
    fails_with(&Frame::new(PING, [b'x'; 126]).masked(), 1002);
}

#[test]
fn text_that_is_not_utf_8() {
    fails_with(&Frame::new(TEXT, b"\xc3\x28").masked(), 1007);
}

#[test]
fn a_frame_that_announces_a_terabyte() {
    let header = [&[0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0][..], &[0; 4]].concat();
    fails_with(&header, 1009);
}

fn fails_with(bytes: &[u8], code: u16) {
    let server = impatient();
    let mut socket = welcomed(&server);
    socket.wire.send(bytes);
    assert_eq!(socket.close_code(), Some(code));
    socket.wire.expect_end();
    server.assert_serves();
}

#[test]
fn a_frame_with_a_reserved_bit() {
    for rsv in [1, 2, 4, 7] {
        fails_with(
            &Frame::text("{\"op\":\"ping\"}").with_rsv(rsv).masked(),
            1002,
        );
    }
}

#[test]
fn a_control_frame_in_fragments() {
    for opcode in [PING, PONG, CLOSE] {
        fails_with(&Frame::new(opcode, "").unfinished().masked(), 1002);
    }
}

#[test]
fn a_continuation_of_nothing() {
    fails_with(
        &Frame::new(CONTINUATION, "{\"op\":\"ping\"}").masked(),
        1002,
    );
}

#[test]
fn a_message_within_a_message() {
    let begun = Frame::text("{\"op\":").unfinished().masked();
    let other = Frame::new(BINARY, "x").masked();
    fails_with(&[begun, other].concat(), 1002);
}

#[test]
fn a_close_of_one_byte() {
    fails_with(&Frame::new(CLOSE, "x").masked(), 1002);
}

#[test]
fn a_close_with_a_code_that_nobody_may_send() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999] {
        fails_with(&Frame::close(code, "").masked(), 1002);
    }
}

#[test]
fn a_length_of_64_bits_with_the_highest_one_set() {
    let server = impatient();
    let mut socket = welcomed(&server);
    socket
        .wire
        .send([&[0x81, 0xff][..], &[0x80; 8], &[0; 4]].concat());
    assert!(matches!(socket.close_code(), Some(1002 | 1009)));
    socket.wire.expect_end();
    server.assert_serves();
}

#[test]
fn a_length_in_more_bytes_than_it_needs() {
    // RFC 6455 wants the fewest; whoever counts on another reading must not get a second message in.
    let server = impatient();
    let mut socket = welcomed(&server);
    let ping = "{\"op\":\"ping\",\"ref\":1}";
    let length = u8::try_from(ping.len()).expect("a short one");
    socket
        .wire
        .send([&[0x81, 0xfe, 0, length, 0, 0, 0, 0], ping.as_bytes()].concat());
    socket.operate(json!({"op": "ping", "ref": 2}));
    assert_eq!(socket.next_op("ack")["ref"], 1);
    assert_eq!(socket.next_op("ack")["ref"], 2);
    server.assert_serves();
}

#[test]
fn compression_that_was_offered_and_then_used() {
    let server = impatient();
    let offer = "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame";
    let offer = [("Sec-WebSocket-Extensions", offer)];
    let mut socket = WebSocket::open_on(server.connect(), "/-/socket", &offer);
    assert_eq!(socket.head.field("Sec-WebSocket-Extensions"), None);
    socket.next_op("welcome");
    // A bomb: an empty stored block, as permessage-deflate would have it.
    socket.send(&Frame::new(TEXT, b"\x00\x00\x00\xff\xff").with_rsv(4));
    assert_eq!(socket.close_code(), Some(1002));
    server.assert_serves();
}

#[test]
fn an_operation_behind_a_close() {
    let server = impatient();
    let mut socket = welcomed(&server);
    let publish = json!({"op": "publish", "channel": "canary", "data": "late"});
    let late = Frame::text(publish.to_string()).masked();
    socket
        .wire
        .send([Frame::close(1000, "").masked(), late].concat());
    assert_eq!(socket.close_code(), Some(1000));
    socket.wire.expect_end();
    let kept = server.get("/canary?after=earliest", &[]).json();
    assert_eq!(kept["events"], json!([]));
    server.assert_serves();
}

#[test]
fn both_sides_that_close_at_once() {
    let server = impatient();
    let mut sockets: Vec<WebSocket> = (0..20).map(|_| welcomed(&server)).collect();
    let stopping = server.stop(Leaving::Away);
    for socket in &mut sockets {
        // It may have been ended already.
        let _ = socket.wire.try_send(Frame::close(1000, "me too").masked());
    }
    for socket in &mut sockets {
        let mut closes = 0;
        while let Some(frame) = socket.next_frame() {
            assert_eq!(closes, 0, "something behind a close: {frame:?}");
            closes += usize::from(frame.opcode == CLOSE);
        }
        assert!(closes <= 1);
    }
    stopping.join().expect("a server that stops");
}
