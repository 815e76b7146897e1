//! A web page of somebody else, in the browser of somebody who may come in.

use serde_json::json;

use crate::support::{Fixture, Way};

#[test]
fn a_web_page_of_another_origin_and_a_name_bound_anew() {
    let server = Fixture::plain();
    let own = server.address.to_string();
    let text = ("Content-Type", "text/plain");
    let cross = [
        ("Host", own.as_str()),
        ("Origin", "http://evil.example"),
        text,
    ];
    assert_eq!(server.post("/chat", &cross, "forged").status(), 403);
    let rebound = [
        ("Host", "evil.example"),
        ("Origin", "http://evil.example"),
        text,
    ];
    assert_eq!(server.post("/chat", &rebound, "forged").status(), 421);
    assert_eq!(server.send("DELETE", "/chat", &cross, b"").status(), 403);
    let kept = server.get("/**?after=earliest", &[]).json();
    assert_eq!(kept["events"], json!([]));
    server.assert_serves();
}

/// What the browser of a victim adds by itself, for a page of `origin`.
fn of(origin: &str) -> Vec<(&'static str, String)> {
    vec![
        ("Origin", origin.to_owned()),
        ("Cookie", "session=of-the-victim".to_owned()),
        ("Sec-Fetch-Site", "cross-site".to_owned()),
    ]
}

fn is_shut_out(
    server: &Fixture,
    method: &str,
    target: &str,
    fields: &[(&str, String)],
    body: &str,
) {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    let answer = server.send(method, target, &fields, body.as_bytes());
    assert_eq!(answer.status(), 403, "{fields:?}");
    if method != "HEAD" {
        assert_eq!(answer.refusal(), "forbidden_origin");
    }
    for field in [
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Credentials",
        "Sec-WebSocket-Accept",
    ] {
        assert_eq!(answer.head.field(field), None);
    }
}

#[test]
fn a_websocket_hijacked_by_another_page() {
    let server = Fixture::plain();
    server.publish("chat", "secret");
    for target in [
        "/-/socket",
        "/chat?after=earliest",
        "/chat?format=raw",
        "/**?transport=websocket",
    ] {
        let mut fields = of("https://evil.example");
        fields.extend(
            Way::WebSocket
                .fields()
                .into_iter()
                .map(|(name, value)| (name, value.to_owned())),
        );
        is_shut_out(&server, "GET", target, &fields, "");
    }
    server.assert_serves();
}

#[test]
fn a_stream_or_a_poll_read_by_another_page() {
    let server = Fixture::plain();
    server.publish("chat", "secret");
    for target in [
        "/chat?transport=sse",
        "/chat?transport=ndjson",
        "/chat?wait=5",
        "/chat",
        "/chat?format=raw",
    ] {
        is_shut_out(&server, "GET", target, &of("https://evil.example"), "");
        is_shut_out(&server, "HEAD", target, &of("https://evil.example"), "");
    }
    server.assert_serves();
}

#[test]
fn a_form_sent_by_another_page() {
    let server = Fixture::plain();
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let mut fields = of("https://evil.example");
        fields.push(("Content-Type", media_type.to_owned()));
        is_shut_out(&server, "POST", "/chat", &fields, "forged");
        is_shut_out(
            &server,
            "POST",
            "/-/publish",
            &fields,
            "{\"channel\":\"chat\",\"data\":1}",
        );
    }
    let kept = server.get("/**?after=earliest", &[]).json();
    assert_eq!(kept["events"], json!([]));
    server.assert_serves();
}

#[test]
fn a_page_without_an_origin_of_its_own() {
    let server = Fixture::plain();
    for origin in [
        "null",
        "file://",
        "about:blank",
        "data:",
        "blob:https://evil.example",
        "chrome-extension://x",
        "",
    ] {
        is_shut_out(&server, "POST", "/chat", &of(origin), "forged");
    }
    server.assert_serves();
}

#[test]
fn two_origins_of_which_one_may_come_in() {
    let server = Fixture::plain();
    let own = format!("http://{}", server.address);
    for (one, other) in [
        (&*own, "https://evil.example"),
        ("https://evil.example", &*own),
    ] {
        let mut fields = of(one);
        fields.push(("Origin", other.to_owned()));
        is_shut_out(&server, "POST", "/chat", &fields, "forged");
        is_shut_out(
            &server,
            "POST",
            "/chat",
            &of(&format!("{one}, {other}")),
            "forged",
        );
    }
    server.assert_serves();
}

#[test]
fn an_origin_that_begins_like_one_of_this_machine() {
    let server = Fixture::plain();
    let own = server.address;
    for origin in [
        "http://localhost.evil.example".to_owned(),
        "http://127.0.0.1.evil.example".to_owned(),
        "http://localhost@evil.example".to_owned(),
        "http://evil.example#localhost".to_owned(),
        "http://evil-localhost".to_owned(),
        "http://127.1.evil.example".to_owned(),
        format!("http://{own}.evil.example"),
        format!("http://evil.example/{own}"),
        format!("javascript://{own}"),
    ] {
        is_shut_out(&server, "POST", "/chat", &of(&origin), "forged");
    }
    server.assert_serves();
}
