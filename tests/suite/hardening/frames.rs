//! Frames of a WebSocket that no client may send.

use super::{impatient, welcomed};
use crate::support::Frame;
use crate::support::websocket::{PING, TEXT};

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
