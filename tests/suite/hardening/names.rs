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

#[test]
fn a_star_that_reaches_for_what_is_below() {
    let server = Fixture::plain();
    for channel in ["a", "a/b", "a/b/c", "b/a", "ab/c", "A/b"] {
        server.publish(channel, channel);
    }
    for (path, seen) in [
        ("/a/*", &["a/b"][..]),
        ("/*", &["a"]),
        ("/a/**", &["a/b", "a/b/c"]),
        ("/a/*/c", &["a/b/c"]),
        ("/*/a", &["b/a"]),
    ] {
        for way in [
            Way::Poll,
            Way::LongPoll,
            Way::Sse,
            Way::Ndjson,
            Way::WebSocket,
        ] {
            let mut listener = Listener::open(way, &server, &format!("{path}?after=earliest"));
            assert_eq!(listener.texts(seen.len()), seen, "{path}");
        }
        let all = server.get(&format!("{path}?after=earliest"), &[]).json();
        assert_eq!(
            all["events"].as_array().map(Vec::len),
            Some(seen.len()),
            "{path}"
        );
    }
}

/// No channel, and above all no other than it looks like.
fn is_no_channel(path: &str) {
    let server = Fixture::plain();
    server.publish("a/b", "secret");
    for answer in [
        server.get(&format!("{path}?after=earliest"), &[]),
        server.post(path, &[], "x"),
        server.send("DELETE", path, &[], b""),
    ] {
        assert!(
            matches!(answer.status(), 400 | 404),
            "{path}: {}",
            answer.status()
        );
        assert!(!answer.text().contains("secret"));
        answer.refusal();
    }
    let all = server.get("/**?after=earliest", &[]).json();
    assert_eq!(all["events"].as_array().map(Vec::len), Some(1), "{path}");
}

#[test]
fn an_encoded_slash() {
    for path in ["/a%2Fb", "/a%2fb", "/a%5Cb", "/a%EF%BC%8Fb"] {
        is_no_channel(path);
    }
}

#[test]
fn a_slash_that_is_encoded_twice() {
    for path in ["/a%252Fb", "/a%25252fb", "/a%c0%afb", "/a%u002fb"] {
        is_no_channel(path);
    }
}

#[test]
fn a_way_out_of_the_tree() {
    for path in [
        "/../a/b",
        "/x/../a/b",
        "/a/./b",
        "/%2e%2e/a/b",
        "/x/%2E%2E/a/b",
        "/..;/a/b",
        "/a/..%2fb",
        "//a/b",
        "/a//b",
        "/a/b/",
        "/a\\b",
    ] {
        is_no_channel(path);
    }
}

#[test]
fn an_encoded_star() {
    for path in ["/%2A", "/a/%2a", "/%2A%2A", "/a/%252A", "/%E2%88%97"] {
        is_no_channel(path);
    }
}

#[test]
fn an_encoded_comma() {
    for path in ["/a%2Cb", "/a%2c*", "/a%252Cb"] {
        is_no_channel(path);
    }
}

#[test]
fn a_path_of_ours_by_another_spelling() {
    for path in [
        "/%2D/healthy",
        "/%2d/publish",
        "/-%2Fhealthy",
        "/-/../a/b",
        "/-//healthy",
        "/-/Healthy",
        "/-/",
    ] {
        is_no_channel(path);
    }
}

#[test]
fn a_pattern_to_publish_to() {
    for path in ["/*", "/**", "/a/*", "/a,b", "/a,*"] {
        let server = Fixture::plain();
        assert_eq!(server.post(path, &[], "x").status(), 400, "{path}");
        assert_eq!(
            server.send("DELETE", path, &[], b"").status(),
            400,
            "{path}"
        );
        server.assert_serves();
    }
}

#[test]
fn names_in_operations_that_no_path_could_have() {
    let server = Fixture::plain();
    server.publish("a/b", "secret");
    let mut socket = welcomed(&server);
    for name in [
        "",
        "/a/b",
        "a/b/",
        "../a",
        "a/../b",
        "a%2Fb",
        "a b",
        "a\r\nb",
        "a\u{0}",
        "-/healthy",
        "a,b",
        "é",
        "a/b?x",
        "a*",
    ] {
        for operation in [
            json!({"op": "subscribe", "channels": [name], "after": "earliest"}),
            json!({"op": "publish", "channel": name, "data": "x"}),
            json!({"op": "unsubscribe", "channels": [name]}),
        ] {
            socket.operate(operation.clone());
            let error = socket.next_op("error");
            assert_eq!(error["code"], "bad_channel", "{operation}");
        }
    }
    server.assert_serves();
}
