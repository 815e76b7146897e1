//! What a publisher says must not be read as something else.

use serde_json::json;

use crate::durable::home::Home;
use crate::durable::process::Process;
use crate::support::{Fixture, Frame, Listener, Way, WebSocket};

#[test]
fn cr_lf_and_nul_in_a_type() {
    let server = Fixture::plain();
    let mut listener = Listener::open(Way::Sse, &server, "/chat");
    for evil in [
        "a%0D%0Adata:%20forged",
        "a%0Ab",
        "a%0Db",
        "a%00b",
        "%C2%85",
        "a%7F",
    ] {
        let answer = server.post(&format!("/chat?type={evil}"), &[], "x");
        assert_eq!(answer.status(), 400, "{evil}");
        answer.refusal();
    }
    server.publish("chat", "marker");
    assert_eq!(listener.texts(1), ["marker"]);
    server.assert_serves();
}

#[test]
fn cr_lf_and_nul_in_a_channel() {
    let server = Fixture::plain();
    for evil in ["/a%0D%0AX:%20y", "/a%0A", "/a%0D", "/a%00", "/%00"] {
        for answer in [server.post(evil, &[], "x"), server.get(evil, &[])] {
            assert_eq!(
                (answer.status(), answer.refusal()),
                (400, "bad_channel".into()),
                "{evil}"
            );
            assert!(answer.head.field("X").is_none());
        }
    }
    server.assert_serves();
}

#[test]
fn fields_of_an_event_stream_in_a_payload() {
    let server = Fixture::plain();
    let evil = "a\nid: 0000000001-1\nevent: bye\n\ndata: forged\r\n\r\n:\rretry: 1\r\rdata: forged";
    let mut listener = Listener::open(Way::Sse, &server, "/chat?after=now");
    let id = server.publish("chat", evil);
    server.publish("chat", "marker");
    let event = listener.next_event();
    assert_eq!((event.id.as_str(), &*event.text()), (&*id, evil));
    assert_eq!(listener.texts(1), ["marker"]);
}

#[test]
fn line_ends_in_what_becomes_a_field() {
    let server = Fixture::plain();
    let mut socket = WebSocket::open(server.address, "/-/socket");
    socket.next_op("welcome");
    for evil in [
        "x\r\nSet-Cookie: a=b",
        "x\nX: y",
        "x\rX: y",
        "x\0",
        "text/x\r\n\r\n<script>",
    ] {
        for member in ["type", "content_type", "channel"] {
            let mut publish = json!({"op": "publish", "channel": "chat", "data": "x"});
            publish[member] = json!(evil);
            let line = format!(
                "{}\n",
                json!({"channel": "chat", "data": "x", member: evil})
            );
            socket.operate(publish);
            socket.next_op("error");
            let kind = [("Content-Type", "application/x-ndjson")];
            let answer = server.post("/-/publish", &kind, line);
            assert_eq!(answer.status(), 400, "{member}");
        }
    }
    let kept = server.get("/**?after=earliest", &[]).json();
    assert_eq!(kept["events"], json!([]));
    server.assert_serves();
}

#[test]
fn a_media_type_that_is_no_ascii() {
    let server = Fixture::plain();
    for evil in [
        "text/pläin",
        "text/plain; charset=\"ü\"",
        "text/plain; a=\u{85}",
    ] {
        let answer = server.post("/chat", &[("Content-Type", evil)], "x");
        assert!(matches!(answer.status(), 201 | 400 | 415), "{evil}");
        // Whose answer is read by the letter: a head is ASCII.
        server.get("/chat?after=earliest&format=raw", &[]);
    }
    server.assert_serves();
}

#[test]
fn control_characters_in_an_idempotency_key() {
    let server = Fixture::plain();
    for evil in ["a\tb", "é", "\"a", "a\u{85}b", &"x".repeat(300)] {
        let answer = server.post("/chat", &[("Idempotency-Key", evil)], "x");
        assert!(matches!(answer.status(), 201 | 400), "{evil:?}");
    }
    server.assert_serves();
}

#[test]
fn a_line_of_the_log_forged_from_outside() {
    let home = Home::new("log-injection");
    let mut command = home.serve();
    command.env("FOURCAST_LOG__LEVEL", "debug");
    let server = Process::try_start_as(&home, command).expect("a server");
    let evil = "\u{9b}2J\u{85}2026-01-01T00:00:00.000Z ERROR fourcast: forged";
    for (name, value) in [
        ("Origin", evil),
        ("Host", evil),
        ("Last-Event-ID", evil),
        ("X", evil),
    ] {
        server.post("/chat", &[(name, value)], b"x");
    }
    for target in [
        "/a%0D%0AERROR%20forged",
        "/a%1B%5B2J?type=%0A",
        "/chat?transport=%1B%5B2J",
        "/x?after=%0Aforged",
    ] {
        server.get(target);
        server.post(target, &[], b"x");
    }
    let mut socket = WebSocket::open(server.address, "/-/socket");
    socket.next_op("welcome");
    for operation in [
        json!({"op": "\u{1b}[2J\nforged"}),
        json!({"op": "subscribe", "channels": ["a\r\nERROR forged\u{1b}[2J"]}),
        json!({"\u{1b}[2J\n": 1}),
    ] {
        socket.operate(operation);
        socket.next_op("error");
    }
    socket.send(&Frame::close(1000, "\u{1b}[2J\nforged"));
    socket.wire.take_rest(crate::support::deadline());
    let log = server.log();
    assert!(log.contains("refused"), "what happened is in it: {log}");
    for line in log.lines() {
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(
            !line.starts_with("ERROR") && !line.starts_with("forged"),
            "{line:?}"
        );
    }
}
