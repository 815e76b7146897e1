//! WebSocket by RFC 6455: the opening handshake here, frames and operations beside it.

use fourcast::config::Mode;

use crate::support::websocket::{KEY, accept, handshake};
use crate::support::{Fixture, Response, WebSocket, request};

mod frames;
mod operations;
mod raw;

fn ask(server: &Fixture, bytes: &[u8]) -> Result<WebSocket, Box<Response>> {
    WebSocket::ask(server.connect(), bytes)
}

/// The handshake's fields, with `name` replaced by the values given, none or several.
fn with(name: &str, values: &[&str]) -> Vec<u8> {
    let mut fields: Vec<(&str, &str)> = handshake().to_vec();
    fields.retain(|(n, _)| *n != name);
    let name = name.to_owned();
    fields.extend(values.iter().map(|value| (name.as_str(), *value)));
    request("GET", "/chat", &fields, b"")
}

#[test]
fn the_example_of_the_specification_is_answered_as_there() {
    assert_eq!(accept(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let server = Fixture::start(|config| {
        config.websocket.subprotocols = vec!["chat".into()];
        config.access.mode = Mode::Open;
        config.hosts = vec!["server.example.com".into()];
        config.origins = vec!["http://example.com".into()];
    });
    let socket = ask(
        &server,
        b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n\
          Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    let socket = socket.unwrap_or_else(|answer| panic!("{}", answer.head.raw));
    assert_eq!(
        socket.head.must("Sec-WebSocket-Accept"),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    assert_eq!(socket.head.must("Sec-WebSocket-Protocol"), "chat");
}

#[test]
fn a_known_request_is_answered_with_exactly_these_lines() {
    let server = Fixture::start(|config| {
        config.websocket.subprotocols = vec!["chat".into()];
        config.origins = vec!["http://localhost:9000".into()];
    });
    let socket = ask(
        &server,
        b"GET /chat HTTP/1.1\r\nHost: localhost:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
          Sec-WebSocket-Version: 13\r\nOrigin: http://localhost:9000\r\n\r\n",
    );
    let socket = socket.unwrap_or_else(|answer| panic!("{}", answer.head.raw));
    let due = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=",
        "Sec-WebSocket-Protocol: chat",
    ];
    let lines: Vec<&str> = socket
        .head
        .raw
        .split("\r\n")
        .filter(|line| due.contains(line))
        .collect();
    assert_eq!(lines, due, "{}", socket.head.raw);
    for absent in [
        "Content-Length",
        "Transfer-Encoding",
        "Sec-WebSocket-Extensions",
    ] {
        assert_eq!(socket.head.field(absent), None, "{absent}");
    }
    assert!(
        socket
            .head
            .raw
            .starts_with("HTTP/1.1 101 Switching Protocols\r\n")
    );
}

#[test]
fn tokens_are_compared_without_case_and_within_lists() {
    let server = Fixture::plain();
    for (name, value) in [
        ("Upgrade", "WebSocket"),
        ("Upgrade", "foo/1, websocket"),
        ("Connection", "upgrade"),
        ("Connection", "keep-alive, UPGRADE"),
        ("Connection", "keep-alive,Upgrade , x"),
    ] {
        if let Err(answer) = ask(&server, &with(name, &[value])) {
            panic!("{name}: {value}: {}", answer.head.raw);
        }
    }
}

#[test]
fn a_handshake_that_breaks_a_rule_ends_in_its_own_refusal() {
    let server = Fixture::plain();
    for (name, values, statuses) in [
        ("Upgrade", &[][..], &[400, 426][..]),
        ("Upgrade", &["h2c"], &[400, 426]),
        ("Upgrade", &["websockets"], &[400, 426]),
        ("Connection", &[], &[400]),
        ("Connection", &["keep-alive"], &[400]),
        ("Connection", &["Upgraded"], &[400]),
        ("Sec-WebSocket-Key", &[], &[400]),
        ("Sec-WebSocket-Key", &[""], &[400]),
        ("Sec-WebSocket-Key", &[KEY, KEY], &[400]),
        ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZQ"], &[400]),
        ("Sec-WebSocket-Key", &["c2hvcnQ="], &[400]),
        ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZSE="], &[400]),
        ("Sec-WebSocket-Key", &["!!!!IHNhbXBsZSBub25jZQ=="], &[400]),
        ("Sec-WebSocket-Version", &[], &[426, 400]),
        ("Sec-WebSocket-Version", &["8"], &[426]),
        ("Sec-WebSocket-Version", &["13, 8"], &[426, 400]),
        ("Sec-WebSocket-Version", &["14"], &[426]),
        ("Origin", &["https://evil.example"], &[403]),
        ("Origin", &["null"], &[403]),
        ("Host", &["evil.example"], &[421]),
    ] {
        let Err(answer) = ask(&server, &with(name, values)) else {
            panic!("{name}: {values:?} was upgraded");
        };
        assert!(
            statuses.contains(&answer.status()),
            "{name}: {values:?}: {}",
            answer.head.raw
        );
        answer.refusal();
        if answer.status() == 426 && name == "Sec-WebSocket-Version" {
            assert_eq!(answer.head.must("Sec-WebSocket-Version"), "13");
        }
    }
    server.assert_serves();
}

#[test]
fn the_refusals_of_a_handshake_have_codes_of_their_own() {
    let server = Fixture::plain();
    for (name, value, code) in [
        ("Connection", "keep-alive", "bad_handshake"),
        ("Sec-WebSocket-Key", "c2hvcnQ=", "bad_handshake"),
        ("Sec-WebSocket-Version", "8", "upgrade_required"),
        ("Origin", "https://evil.example", "forbidden_origin"),
        ("Host", "evil.example", "misdirected"),
    ] {
        let Err(answer) = ask(&server, &with(name, &[value])) else {
            panic!("{name}: {value} was upgraded");
        };
        assert_eq!(answer.refusal(), code, "{name}");
    }
}

#[test]
fn an_upgrade_in_http_1_0_is_none() {
    let server = Fixture::plain();
    let bytes = String::from_utf8(with("Host", &["localhost"])).expect("ASCII");
    let Err(answer) = ask(&server, bytes.replace("HTTP/1.1", "HTTP/1.0").as_bytes()) else {
        panic!("it was upgraded");
    };
    assert!(
        matches!(answer.status(), 200 | 400 | 426 | 505),
        "{}",
        answer.head.raw
    );
}

#[test]
fn the_first_offered_subprotocol_that_is_known_is_taken() {
    let server = Fixture::start(|config| {
        config.websocket.subprotocols = vec!["v1.chat".into(), "chat".into()];
    });
    for (offered, taken) in [
        (&["chat, v1.chat"][..], Some("chat")),
        (&["x, v1.chat"], Some("v1.chat")),
        (&["x", "chat"], Some("chat")),
        (&["x, y"], None),
        (&["CHAT"], None),
        (&[], None),
    ] {
        let socket = ask(&server, &with("Sec-WebSocket-Protocol", offered));
        let socket = socket.unwrap_or_else(|answer| panic!("{offered:?}: {}", answer.head.raw));
        assert_eq!(
            socket.head.field("Sec-WebSocket-Protocol"),
            taken,
            "{offered:?}"
        );
    }
}

#[test]
fn extensions_are_declined() {
    let server = Fixture::plain();
    let offer = ["permessage-deflate; client_max_window_bits"];
    let socket = ask(&server, &with("Sec-WebSocket-Extensions", &offer));
    let mut socket = socket.unwrap_or_else(|answer| panic!("{}", answer.head.raw));
    assert_eq!(socket.head.field("Sec-WebSocket-Extensions"), None);
    socket.next_op("welcome");
}

#[test]
fn the_first_message_welcomes() {
    let server = Fixture::plain();
    let id = server.publish("chat", "before");
    let mut socket = WebSocket::open(server.address, "/chat");
    let text = socket.next_text();
    assert_eq!(
        text,
        format!("{{\"op\":\"welcome\",\"cursor\":\"{id}\",\"heartbeat_ms\":25000}}")
    );
    socket.close();
}
