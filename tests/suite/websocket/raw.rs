//! `?format=raw`: a chat of bare messages.

use crate::support::websocket::{BINARY, Message};
use crate::support::{Fixture, Frame, Listener, Way, WebSocket};

/// Messages but for what the server says of itself.
fn next(socket: &mut WebSocket) -> Message {
    loop {
        match socket.next_message() {
            Message::Text(text) if text.starts_with("{\"op\":\"welcome\"") => {}
            message => return message,
        }
    }
}

/// Opens a raw chat and makes sure that it hears: a message that comes back proves it.
fn open(server: &Fixture) -> WebSocket {
    let mut socket = WebSocket::open(server.address, "/chat?format=raw");
    socket.send(&Frame::text("hear me"));
    assert_eq!(next(&mut socket), Message::Text("hear me".into()));
    socket
}

#[test]
fn two_bare_clients_make_a_chat() {
    let server = Fixture::plain();
    let mut first = open(&server);
    let mut second = open(&server);
    assert_eq!(next(&mut first), Message::Text("hear me".into()));
    second.send(&Frame::text("hello é"));
    first.send(&Frame::new(BINARY, [0xff, 0x00]));
    for socket in [&mut first, &mut second] {
        let mut heard = [next(socket), next(socket)];
        heard.sort_by_key(|message| matches!(message, Message::Binary(_)));
        assert_eq!(heard[0], Message::Text("hello é".into()));
        assert_eq!(heard[1], Message::Binary(vec![0xff, 0x00]));
    }
}

#[test]
fn what_a_bare_client_says_is_an_event_as_any_other() {
    let server = Fixture::plain();
    let mut listener = Listener::open(Way::Ndjson, &server, "/chat?after=now");
    let mut socket = open(&server);
    assert_eq!(listener.next_event().text(), "hear me");
    socket.send(&Frame::text("{\"op\":\"publish\",\"data\":1}"));
    assert_eq!(
        listener.next_event().text(),
        "{\"op\":\"publish\",\"data\":1}"
    );
    socket.send(&Frame::new(BINARY, b"AB"));
    let event = listener.next_event();
    assert_eq!(
        (event.encoding.as_deref(), event.data.as_str()),
        (Some("base64"), "\"QUI=\"")
    );
    server.publish_as(
        "/chat",
        &[("Content-Type", "application/json")],
        "{ \"a\": 1.0 }",
    );
    assert!(matches!(next(&mut socket), Message::Text(text) if text.contains("publish")));
    assert_eq!(next(&mut socket), Message::Binary(b"AB".to_vec()));
    assert_eq!(next(&mut socket), Message::Text(r#"{"a":1.0}"#.into()));
}

#[test]
fn an_echo_returns_every_message_as_it_was() {
    let server = Fixture::plain();
    let mut socket = open(&server);
    for length in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
        let text = "*".repeat(length);
        socket.send(&Frame::text(&text));
        assert!(next(&mut socket) == Message::Text(text), "{length} of text");
        let bytes = vec![0xfe; length];
        socket.send(&Frame::new(BINARY, &bytes));
        assert!(
            next(&mut socket) == Message::Binary(bytes),
            "{length} bytes"
        );
    }
}

#[test]
fn a_raw_chat_has_one_channel() {
    let server = Fixture::plain();
    for target in ["/a,b?format=raw", "/a/*?format=raw", "/**?format=raw"] {
        assert_eq!(
            server.ask(Way::WebSocket, target, &[]).status(),
            400,
            "{target}"
        );
    }
}
