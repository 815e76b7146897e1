//! What an event carries: its forms, its type, its life, and how it was published.

use super::on_every_way;
use crate::support::{Fixture, Listener, Way};

on_every_way! {
    text_arrives_as_a_string;
    json_arrives_with_its_digits_and_without_its_white_space;
    binary_arrives_as_base64;
    a_type_that_says_more_is_kept;
    what_is_not_utf_8_is_binary;
    an_event_has_the_type_it_was_given;
    a_batch_arrives_whole_and_in_order;
    a_batch_with_one_bad_line_leaves_nothing;
    a_repeated_idempotency_key_delivers_nothing_twice;
    an_event_without_a_life_is_delivered_live_and_never_kept;
    an_event_that_outlived_itself_is_neither_owed_nor_a_gap;
    a_large_event_arrives_whole;
}

const NDJSON: [(&str, &str); 1] = [("Content-Type", "application/x-ndjson")];

fn text_arrives_as_a_string(way: Way) {
    let server = Fixture::plain();
    let mut listener = Listener::open(way, &server, "/chat?after=now");
    let text = "line 1\nline 2\r\nline 3\r\"quoted\" \\ \u{0} \u{2028} é 漢字 🎉 data: id: \n\n";
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let fields: Vec<_> = content_type
            .map(|t| ("Content-Type", t))
            .into_iter()
            .collect();
        server.publish_as("/chat", &fields, text);
        let event = listener.next_event();
        assert_eq!(event.text(), text, "{content_type:?}");
        assert_eq!(event.encoding, None);
    }
    server.publish("chat", "");
    assert_eq!(listener.next_event().data, r#""""#);
}

fn json_arrives_with_its_digits_and_without_its_white_space(way: Way) {
    let server = Fixture::plain();
    let mut listener = Listener::open(way, &server, "/chat?after=now");
    for content_type in [
        "application/json",
        "application/json; charset=utf-8",
        "application/vnd.api+json",
    ] {
        let fields = [("Content-Type", content_type)];
        let body = "{ \"z\" : 1.10,\r\n\t\"a b\": [1e400, 0.1e-7, 12345678901234567890123, \"\\u00e9 \\\" x\"],\n\"z\": null }\n";
        server.publish_as("/chat", &fields, body);
        let expected =
            r#"{"z":1.10,"a b":[1e400,0.1e-7,12345678901234567890123,"\u00e9 \" x"],"z":null}"#;
        assert_eq!(listener.next_event().data, expected, "{content_type}");
    }
    for body in ["null", "0", "\"text\"", "[]"] {
        server.publish_as("/chat", &[("Content-Type", "application/json")], body);
        assert_eq!(listener.next_event().data, body);
    }
}

fn binary_arrives_as_base64(way: Way) {
    let server = Fixture::plain();
    let mut listener = Listener::open(way, &server, "/chat?after=now");
    for (content_type, kept) in [
        ("application/octet-stream", None),
        ("image/png", Some("image/png")),
        ("audio/ogg", Some("audio/ogg")),
        ("video/mp4", Some("video/mp4")),
    ] {
        server.publish_as("/chat", &[("Content-Type", content_type)], b"plain");
        let event = listener.next_event();
        assert_eq!(event.data, r#""cGxhaW4=""#, "{content_type}");
        assert_eq!(event.encoding.as_deref(), Some("base64"), "{content_type}");
        assert_eq!(event.content_type.as_deref(), kept, "{content_type}");
    }
}

fn a_type_that_says_more_is_kept(way: Way) {
    let server = Fixture::plain();
    let mut listener = Listener::open(way, &server, "/chat?after=now");
    server.publish_as("/chat", &[("Content-Type", "text/markdown")], "# hi");
    let event = listener.next_event();
    assert_eq!(event.content_type.as_deref(), Some("text/markdown"));
    assert_eq!(event.text(), "# hi");
    server.publish_as("/chat", &[("Content-Type", "application/json")], "1");
    assert_eq!(listener.next_event().content_type, None);
}

fn what_is_not_utf_8_is_binary(way: Way) {
    let server = Fixture::plain();
    let mut listener = Listener::open(way, &server, "/chat?after=now");
    server.publish_as("/chat", &[], [0xff, 0x00, 0xfe]);
    let event = listener.next_event();
    assert_eq!(event.data, r#""/wD+""#);
    assert_eq!(event.encoding.as_deref(), Some("base64"));
}

fn an_event_has_the_type_it_was_given(way: Way) {
    let server = Fixture::plain();
    let mut listener = Listener::open(way, &server, "/chat?after=now");
    server.publish_as("/chat?type=order%20created", &[], "1");
    server.publish_as("/chat?type=message", &[], "2");
    server.publish_as("/chat", &[], "3");
    let kinds: Vec<String> = (0..3).map(|_| listener.next_event().kind).collect();
    assert_eq!(kinds, ["order created", "message", "message"]);
}

fn a_batch_arrives_whole_and_in_order(way: Way) {
    let server = Fixture::plain();
    let mut listener = Listener::open(way, &server, "/**?after=now");
    let batch = concat!(
        "{\"channel\":\"a\",\"type\":\"t\",\"data\":{\"n\": 1.0}}\n",
        "{\"channel\":\"b/c\",\"data\":\"text\"}\r\n",
        "{\"channel\":\"a\",\"data\":\"AAH/\",\"encoding\":\"base64\",\"content_type\":\"image/png\"}"
    );
    let answer = server.post("/-/publish", &NDJSON, batch);
    assert_eq!(answer.status(), 201, "{}", answer.text());
    let receipts = answer.json();
    let expected = [
        ("a", "t", r#"{"n":1.0}"#),
        ("b/c", "message", r#""text""#),
        ("a", "message", r#""AAH/""#),
    ];
    assert_eq!(receipts["events"].as_array().map(Vec::len), Some(3));
    for (number, (channel, kind, data)) in expected.into_iter().enumerate() {
        let event = listener.next_event();
        let receipt = &receipts["events"][number];
        assert_eq!(
            (
                event.channel.as_str(),
                event.kind.as_str(),
                event.data.as_str()
            ),
            (channel, kind, data)
        );
        assert_eq!(receipt["id"], event.id.as_str());
        assert_eq!(receipt["channel"], channel);
        assert_eq!(receipt["time"], event.time);
    }
    let answer = server.post(
        "/own",
        &NDJSON,
        "{\"data\":1}\n{\"channel\":\"own\",\"data\":2}\n",
    );
    assert_eq!(answer.status(), 201, "{}", answer.text());
    for data in ["1", "2"] {
        let event = listener.next_event();
        assert_eq!((event.channel.as_str(), event.data.as_str()), ("own", data));
    }
}

fn a_batch_with_one_bad_line_leaves_nothing(way: Way) {
    let server = Fixture::plain();
    let mut listener = Listener::open(way, &server, "/**?after=now");
    for bad in [
        "{\"channel\":\"a\",\"data\":1",
        "{\"channel\":\"a//b\",\"data\":1}",
        "{\"channel\":\"*\",\"data\":1}",
        "{\"channel\":\"a\",\"type\":\"gap\",\"data\":1}",
        "{\"channel\":\"a\",\"type\":\"x\\ny\",\"data\":1}",
        "{\"channel\":\"a\",\"encoding\":\"base64\",\"data\":\"!\"}",
        "{\"data\":1}",
        "[1]",
        "garbage",
    ] {
        let batch =
            format!("{{\"channel\":\"a\",\"data\":1}}\n{bad}\n{{\"channel\":\"a\",\"data\":3}}\n");
        let answer = server.post("/-/publish", &NDJSON, batch);
        assert_eq!(answer.status(), 400, "{bad}: {}", answer.text());
        answer.refusal();
    }
    server.publish("a", "marker");
    assert_eq!(listener.texts(1), ["marker"]);
}

fn a_repeated_idempotency_key_delivers_nothing_twice(way: Way) {
    let server = Fixture::plain();
    let mut listener = Listener::open(way, &server, "/**?after=now");
    let bare = [("Idempotency-Key", "order-17")];
    let quoted = [("Idempotency-Key", "\"order-17\"")];
    let first = server.post("/chat", &bare, "paid");
    let again = server.post("/chat", &quoted, "paid");
    assert_eq!((first.status(), again.status()), (201, 201));
    assert_eq!(first.json(), again.json());
    let other = server.post("/chat", &bare, "cancelled");
    assert_eq!(other.status(), 422);
    assert_eq!(other.refusal(), "key_reused");
    assert_eq!(server.post("/elsewhere", &bare, "paid").status(), 201);
    server.publish("chat", "marker");
    assert_eq!(listener.texts(3), ["paid", "paid", "marker"]);
}

fn an_event_without_a_life_is_delivered_live_and_never_kept(way: Way) {
    let server = Fixture::plain();
    let before = server.publish("chat", "before");
    let mut live = Listener::open(Way::Sse, &server, "/chat?after=now");
    let mut by_way = way
        .is_stream()
        .then(|| Listener::open(way, &server, "/chat?after=now"));
    server.publish_as("/chat?ttl=0", &[], "fleeting");
    assert_eq!(live.texts(1), ["fleeting"]);
    if let Some(listener) = &mut by_way {
        assert_eq!(listener.texts(1), ["fleeting"]);
    }
    server.publish("chat", "after");
    let mut late = Listener::open(way, &server, &format!("/chat?after={before}"));
    assert_eq!(late.texts(1), ["after"]);
}

fn an_event_that_outlived_itself_is_neither_owed_nor_a_gap(way: Way) {
    let server = Fixture::plain();
    let before = server.publish("chat", "before");
    server.publish_as("/chat?ttl=1", &[], "short");
    server.publish_as("/chat?ttl=10m", &[], "long");
    let target = format!("/chat?after={before}");
    let mut early = Listener::open(way, &server, &target);
    assert_eq!(early.texts(2), ["short", "long"]);
    wait_for_expiry(&server, &target);
    let mut late = Listener::open(way, &server, &target);
    assert_eq!(late.texts(1), ["long"]);
}

fn wait_for_expiry(server: &Fixture, target: &str) {
    let end = crate::support::deadline();
    let mut wire = server.connect();
    loop {
        wire.send(crate::support::request("GET", target, &[], b""));
        let answer = crate::support::Response::read(&mut wire, "GET").json();
        if answer["events"]
            .as_array()
            .is_some_and(|events| events.len() == 1)
        {
            return;
        }
        assert!(
            std::time::Instant::now() < end,
            "it never expired: {answer}"
        );
        wire.pause();
    }
}

fn a_large_event_arrives_whole(way: Way) {
    let server = Fixture::plain();
    let mut listener = Listener::open(way, &server, "/chat?after=now");
    let text = "0123456789abcdef".repeat(60_000);
    server.publish("chat", &text);
    server.publish("chat", "small");
    assert!(listener.next_event().text() == text);
    assert_eq!(listener.texts(1), ["small"]);
}
