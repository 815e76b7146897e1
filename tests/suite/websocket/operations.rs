//! Operations: what a client asks for in text, and the answer at the place where it took effect.

use serde_json::{Value, json};

use crate::support::event::{Event, elements, members, seq};
use crate::support::{Fixture, Frame, Listener, Way, WebSocket};

fn welcomed(server: &Fixture, target: &str) -> WebSocket {
    let mut socket = WebSocket::open(server.address, target);
    socket.next_op("welcome");
    socket
}

fn event(socket: &mut WebSocket) -> Event {
    Event::parse(&socket.next_text())
}

#[test]
fn a_publish_is_acknowledged_with_its_id_and_heard_by_its_publisher() {
    let server = Fixture::plain();
    let mut other = Listener::open(Way::Sse, &server, "/chat");
    let mut socket = welcomed(&server, "/chat");
    socket.operate(json!({"op": "publish", "type": "t", "data": {"n": 1}, "ref": 7}));
    let (first, second) = (socket.next_text(), socket.next_text());
    let (ack, heard) = if first.starts_with("{\"op\"") {
        (first, second)
    } else {
        (second, first)
    };
    let heard = Event::parse(&heard);
    assert_eq!(
        ack,
        format!("{{\"op\":\"ack\",\"ref\":7,\"id\":\"{}\"}}", heard.id)
    );
    assert_eq!(
        (heard.kind.as_str(), heard.data.as_str()),
        ("t", r#"{"n":1}"#)
    );
    assert_eq!(other.next_event().json, heard.json);
}

#[test]
fn a_publish_names_any_channel_and_needs_no_ref() {
    let server = Fixture::plain();
    let mut listener = Listener::open(Way::Ndjson, &server, "/a/b");
    let mut socket = welcomed(&server, "/-/socket");
    socket.operate(json!({"op": "publish", "channel": "a/b", "data": "text"}));
    let ack = socket.next_op("ack");
    assert!(ack.get("ref").is_none(), "{ack}");
    let heard = listener.next_event();
    assert_eq!(ack["id"], heard.id.as_str());
    assert_eq!(heard.text(), "text");
}

#[test]
fn numbers_published_over_a_websocket_keep_their_digits() {
    let server = Fixture::plain();
    let mut socket = welcomed(&server, "/chat");
    socket.send(&Frame::text(
        r#"{"op":"publish","data":{ "z": 1.10, "a": 12345678901234567890123 }}"#,
    ));
    let texts = [socket.next_text(), socket.next_text()];
    let heard = texts
        .iter()
        .find(|text| text.starts_with("{\"id\""))
        .expect("the event");
    assert_eq!(
        Event::parse(heard).data,
        r#"{"z":1.10,"a":12345678901234567890123}"#
    );
}

#[test]
fn a_publish_repeated_under_its_key_is_acknowledged_and_not_delivered_twice() {
    let server = Fixture::plain();
    let mut listener = Listener::open(Way::Sse, &server, "/chat");
    let mut socket = welcomed(&server, "/-/socket");
    let publish = json!({"op": "publish", "channel": "chat", "data": 1, "key": "k", "ref": 1});
    socket.operate(publish.clone());
    let first = socket.next_op("ack");
    socket.operate(publish);
    assert_eq!(socket.next_op("ack"), first);
    socket.operate(json!({"op": "publish", "channel": "chat", "data": 2, "key": "k", "ref": 2}));
    let error = socket.next_op("error");
    assert_eq!(
        (&error["code"], &error["ref"]),
        (&json!("key_reused"), &json!(2))
    );
    server.publish("chat", "marker");
    assert_eq!(listener.next_event().data, "1");
    assert_eq!(listener.next_event().text(), "marker");
}

#[test]
fn a_ref_is_echoed_as_it_was_given() {
    let server = Fixture::plain();
    let mut socket = welcomed(&server, "/chat");
    for reference in [
        json!(1),
        json!("a"),
        json!(null),
        json!([1, {"b": 2}]),
        json!(1.5),
    ] {
        socket.operate(json!({"op": "ping", "ref": reference}));
        assert_eq!(socket.next_json(), json!({"op": "ack", "ref": reference}));
    }
}

#[test]
fn subscribing_begins_with_what_comes_and_unsubscribing_ends_it() {
    let server = Fixture::plain();
    server.publish("a", "before");
    let mut socket = welcomed(&server, "/-/socket");
    socket.operate(json!({"op": "subscribe", "channels": ["a", "b/*"], "ref": 1}));
    let ack = socket.next_op("ack");
    assert_eq!(ack["ref"], 1);
    assert_eq!(ack["cursor"], server.head_cursor(), "whence it goes on");
    server.publish("x", "not asked for");
    server.publish("a", "one");
    server.publish("b/1", "two");
    assert_eq!(
        [event(&mut socket).text(), event(&mut socket).text()],
        ["one", "two"]
    );
    socket.operate(json!({"op": "unsubscribe", "channels": ["a"], "ref": 2}));
    assert_eq!(socket.next_op("ack")["ref"], 2);
    server.publish("a", "no longer");
    server.publish("b/1", "three");
    assert_eq!(event(&mut socket).text(), "three");
}

#[test]
fn an_operation_takes_effect_where_its_answer_stands() {
    let server = Fixture::plain();
    let mut socket = welcomed(&server, "/a");
    for n in 0..20 {
        server.publish("a", &n.to_string());
    }
    socket.operate(json!({"op": "unsubscribe", "channels": ["a"], "ref": 1}));
    let mut seen = 0;
    let ack = loop {
        let message = socket.next_json();
        if message["op"] == "ack" {
            break message;
        }
        assert_eq!(message["data"], seen.to_string());
        seen += 1;
    };
    assert_eq!(ack["ref"], 1);
    server.publish("a", "after");
    socket.operate(json!({"op": "ping", "ref": 2}));
    assert_eq!(socket.next_json(), json!({"op": "ack", "ref": 2}));
}

/// Reads replay pages until `live`: the texts replayed.
fn replayed(socket: &mut WebSocket, reference: &Value) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let text = socket.next_text();
        let message: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(&message["ref"], reference, "{text}");
        let cursor = message["cursor"].as_str().expect("a cursor");
        if message["op"] == "live" {
            return texts;
        }
        assert_eq!(message["op"], "replay", "{text}");
        let all = members(&text);
        let (_, events) = all.iter().find(|(key, _)| key == "events").expect("events");
        for event in elements(events) {
            let event = Event::parse(&event);
            assert!(event.seq() <= seq(cursor), "{text}");
            texts.push(event.text());
        }
    }
}

#[test]
fn subscribing_after_a_cursor_replays_in_pages_and_then_goes_live() {
    let server = Fixture::plain();
    let texts: Vec<String> = (0..250)
        .map(|n| format!("{n} {}", "x".repeat(1000)))
        .collect();
    for text in &texts {
        server.publish("chat", text);
    }
    let mut socket = welcomed(&server, "/-/socket");
    socket
        .operate(json!({"op": "subscribe", "channels": ["chat"], "after": "earliest", "ref": "r"}));
    assert_eq!(socket.next_op("ack")["ref"], "r");
    server.publish("chat", "during");
    let mut seen = replayed(&mut socket, &json!("r"));
    server.publish("chat", "live");
    while seen.last().map(String::as_str) != Some("live") {
        seen.push(event(&mut socket).text());
    }
    assert!(seen[..250] == texts[..], "all of it, in order");
    assert_eq!(seen[250..], ["during", "live"]);
}

#[test]
fn a_replay_leaves_the_other_channels_live_in_order_and_once() {
    let server = Fixture::plain();
    for n in 0..50 {
        server.publish("old", &format!("old {n}"));
    }
    let mut socket = welcomed(&server, "/live");
    server.publish("live", "1");
    socket.operate(json!({"op": "subscribe", "channels": ["old"], "after": "earliest", "ref": 1}));
    server.publish("live", "2");
    let (mut live, mut old) = (Vec::new(), Vec::new());
    while live.len() < 2 || old.len() < 50 {
        let text = socket.next_text();
        let message: Value = serde_json::from_str(&text).expect("JSON");
        let events = match message["op"].as_str() {
            None => vec![message],
            Some("replay") => message["events"].as_array().expect("events").clone(),
            _ => vec![],
        };
        for event in events {
            let text = event["data"].as_str().expect("text").to_owned();
            if event["channel"] == "live" {
                live.push(text)
            } else {
                old.push(text)
            }
        }
    }
    let expected: Vec<String> = (0..50).map(|n| format!("old {n}")).collect();
    assert_eq!(
        (live, old),
        (vec!["1".to_owned(), "2".to_owned()], expected)
    );
}

#[test]
fn subscribing_after_an_unknown_cursor_tells_a_gap() {
    let server = Fixture::plain();
    server.publish("chat", "1");
    let mut socket = welcomed(&server, "/-/socket");
    socket.operate(
        json!({"op": "subscribe", "channels": ["chat"], "after": "zzzzzzzzzz-1", "ref": 1}),
    );
    assert_eq!(socket.next_op("ack")["ref"], 1);
    let gap = socket.next_op("gap");
    assert_eq!(
        (&gap["reason"], &gap["from"]),
        (&json!("epoch"), &json!("zzzzzzzzzz-1"))
    );
}

#[test]
fn what_was_subscribed_twice_arrives_once() {
    let server = Fixture::plain();
    let mut socket = welcomed(&server, "/chat");
    socket.operate(json!({"op": "subscribe", "channels": ["chat", "*"], "ref": 1}));
    assert_eq!(socket.next_op("ack")["ref"], 1);
    server.publish("chat", "once");
    server.publish("marker", "marker");
    assert_eq!(event(&mut socket).text(), "once");
    assert_eq!(event(&mut socket).text(), "marker");
}

#[test]
fn text_that_is_no_operation_is_told_how_to_be_one() {
    let server = Fixture::plain();
    let mut socket = welcomed(&server, "/chat");
    for text in [
        "hello",
        "",
        "{}",
        "[]",
        "1",
        "{\"op\":1}",
        "{\"op\":\"publish\"",
        "null",
    ] {
        socket.send(&Frame::text(text));
        let error = socket.next_op("error");
        assert_eq!(error["retry"], false, "{error}");
        let detail = error["detail"].as_str().expect("a sentence");
        assert!(detail.contains(r#"{"op":"publish""#), "{text:?}: {detail}");
        assert!(detail.contains("?format=raw"), "{text:?}: {detail}");
    }
    socket.operate(json!({"op": "ping"}));
    assert_eq!(socket.next_json(), json!({"op": "ack"}));
}

#[test]
fn an_operation_that_cannot_be_done_is_an_error_with_its_ref() {
    let server = Fixture::start(|config| {
        config.limits.subscriptions = 2;
        config.limits.channels = 1;
    });
    let mut socket = welcomed(&server, "/-/socket");
    server.publish("only", "one");
    for (operation, code) in [
        (json!({"op": "dance"}), None),
        (json!({"op": "publish", "data": 1}), None),
        (json!({"op": "publish", "channel": "only"}), None),
        (
            json!({"op": "publish", "channel": "a//b", "data": 1}),
            Some("bad_channel"),
        ),
        (
            json!({"op": "publish", "channel": "a/*", "data": 1}),
            Some("bad_channel"),
        ),
        (
            json!({"op": "publish", "channel": "a,b", "data": 1}),
            Some("bad_channel"),
        ),
        (
            json!({"op": "publish", "channel": "only", "data": 1, "type": "gap"}),
            Some("bad_parameter"),
        ),
        (
            json!({"op": "publish", "channel": "only", "data": 1, "type": "a\nb"}),
            Some("bad_parameter"),
        ),
        (
            json!({"op": "publish", "channel": "other", "data": 1}),
            Some("too_many_channels"),
        ),
        (json!({"op": "subscribe"}), None),
        (
            json!({"op": "subscribe", "channels": ["a//b"]}),
            Some("bad_channel"),
        ),
        (
            json!({"op": "subscribe", "channels": ["a"], "after": "nonsense"}),
            Some("bad_cursor"),
        ),
        (
            json!({"op": "subscribe", "channels": ["a", "b", "c"]}),
            Some("too_many_subscriptions"),
        ),
    ] {
        let mut operation = operation;
        operation["ref"] = json!("mine");
        socket.operate(operation.clone());
        let error = socket.next_json();
        assert_eq!(error["op"], "error", "{operation}: {error}");
        assert_eq!(error["ref"], "mine", "{operation}: {error}");
        assert!(
            error["detail"].as_str().is_some_and(|d| !d.is_empty()),
            "{error}"
        );
        assert!(error["retry"].is_boolean(), "{error}");
        if let Some(code) = code {
            assert_eq!(error["code"], code, "{operation}: {error}");
        }
    }
    socket.operate(json!({"op": "subscribe", "channels": ["only", "b"], "ref": "good"}));
    assert_eq!(socket.next_op("ack")["ref"], "good");
}

#[test]
fn a_large_event_published_over_a_websocket_is_bounded_as_by_post() {
    let server = Fixture::start(|config| config.limits.event_bytes = 2000);
    let mut socket = welcomed(&server, "/-/socket");
    socket.operate(json!({"op": "publish", "channel": "a", "data": "x".repeat(1000), "ref": 1}));
    assert_eq!(socket.next_op("ack")["ref"], 1);
    assert_eq!(server.post("/a", &[], "x".repeat(2001)).status(), 413);
}
