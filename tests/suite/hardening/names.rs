//! Channels, patterns and cursors that reach for more than they name.

use serde_json::json;

use super::welcomed;
use crate::support::{Fixture, Listener, Way};

#[test]
fn a_channel_of_ten_thousand_segments() {
    let server = Fixture::plain();
    let deep = vec!["a"; 10_000].join("/");
    for answer in [
        server.get(&format!("/{deep}"), &[]),
        server.post(&format!("/{deep}"), &[], "x"),
    ] {
        assert!(matches!(answer.status(), 400 | 414), "{}", answer.head.raw);
    }
    let mut socket = welcomed(&server);
    for operation in [
        json!({"op": "publish", "channel": deep, "data": 1, "ref": 1}),
        json!({"op": "subscribe", "channels": [deep], "ref": 1}),
    ] {
        socket.operate(operation);
        let error = socket.next_op("error");
        assert_eq!(
            (&error["code"], &error["ref"]),
            (&json!("bad_channel"), &json!(1))
        );
        let detail = error["detail"].as_str().expect("a sentence");
        assert!(
            detail.len() < 1000,
            "ten thousand segments come back: {} bytes",
            detail.len()
        );
    }
    server.assert_serves();
}

#[test]
fn selectors_by_the_thousand() {
    let server = Fixture::plain();
    for selector in ["a", "*", "*/*/*", "**"] {
        let list = vec![selector; 1500].join(",");
        let status = server.get(&format!("/{list}?after=now"), &[]).status();
        assert!(matches!(status, 200 | 400 | 414), "{selector}: {status}");
    }
    let distinct: Vec<String> = (0..1500).map(|n| format!("c{n}")).collect();
    assert_eq!(
        server
            .get(&format!("/{}", distinct.join(",")), &[])
            .status(),
        400
    );
    server.assert_serves();
}

#[test]
fn a_cursor_that_is_nonsense() {
    let server = Fixture::plain();
    server.publish("chat", "kept");
    let long = "9".repeat(5000);
    for cursor in [
        "-1",
        "0",
        "../../etc/passwd",
        "0000000000-18446744073709551616",
        long.as_str(),
        "\"",
        "%00",
    ] {
        let mut listener =
            Listener::open_with(Way::Sse, &server, "/chat", &[("Last-Event-ID", cursor)]);
        let gap = listener.next_gap();
        assert_eq!(
            (gap.reason.as_str(), gap.from),
            ("unknown", None),
            "{cursor}"
        );
        assert_eq!(
            server.get("/chat", &[("If-None-Match", cursor)]).status(),
            200
        );
    }
    assert_eq!(
        server
            .get("/chat?after=0000000000-18446744073709551615", &[])
            .json()["gap"]["reason"],
        "epoch"
    );
    server.assert_serves();
}
