//! The walk: one event from one publisher to one subscriber on each of the five ways.

use std::time::{Duration, SystemTime};

use crate::support::{Fixture, Listener, Way};

fn five(server: &Fixture, target: &str) -> Vec<Listener> {
    Way::ALL
        .into_iter()
        .map(|way| Listener::open(way, server, target))
        .collect()
}

#[test]
fn one_post_arrives_by_all_five_ways_as_the_same_bytes() {
    let server = Fixture::plain();
    let mut listeners = five(&server, "/rooms/42?after=now");
    let answer = server.post(
        "/rooms/42?type=order%20created",
        &[("Content-Type", "application/json")],
        r#" {"b": 1.0, "a": [ 12345678901234567890123 ]} "#,
    );
    assert_eq!(answer.status(), 201);
    let receipt = answer.json();
    let expected = format!(
        r#"{{"id":{},"channel":"rooms/42","type":"order created","time":{},"data":{{"b":1.0,"a":[12345678901234567890123]}}}}"#,
        receipt["id"], receipt["time"]
    );
    for (listener, way) in listeners.iter_mut().zip(Way::ALL) {
        assert_eq!(listener.next_event().json, expected, "by {way:?}");
    }
}

#[test]
fn the_answer_to_a_post_names_id_channel_and_time_in_this_order() {
    let server = Fixture::plain();
    let answer = server.post("/chat", &[], "hi");
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.head.must("Content-Type"), "application/json");
    let receipt = answer.json();
    let expected = format!(
        "{{\"id\":{},\"channel\":\"chat\",\"time\":{}}}\n",
        receipt["id"], receipt["time"]
    );
    assert_eq!(answer.text(), expected);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let told = Duration::from_millis(receipt["time"].as_u64().expect("milliseconds"));
    assert!(now.expect("a clock").abs_diff(told) < Duration::from_secs(60));
}

#[test]
fn what_the_embedding_program_publishes_arrives_by_all_five_ways() {
    let server = Fixture::plain();
    let mut listeners = five(&server, "/chat?after=now");
    let id = server.publish_embedded("chat", "from within");
    for (listener, way) in listeners.iter_mut().zip(Way::ALL) {
        let event = listener.next_event();
        assert_eq!(
            (event.id.as_str(), event.text().as_str()),
            (id.as_str(), "from within"),
            "by {way:?}"
        );
    }
}

#[test]
fn one_channel_carries_one_order_to_all_five_ways_at_once() {
    let server = Fixture::plain();
    let mut listeners = five(&server, "/chat?after=now");
    let ids: Vec<String> = (0..50)
        .map(|n| server.publish("chat", &n.to_string()))
        .collect();
    for (listener, way) in listeners.iter_mut().zip(Way::ALL) {
        let seen: Vec<String> = ids.iter().map(|_| listener.next_event().id).collect();
        assert_eq!(seen, ids, "by {way:?}");
    }
}

#[test]
fn put_publishes_as_post_does() {
    let server = Fixture::plain();
    assert_eq!(server.send("PUT", "/chat", &[], b"hi").status(), 201);
    let mut listener = Listener::open(Way::Poll, &server, "/chat");
    assert_eq!(listener.next_event().text(), "hi");
}

#[test]
fn the_url_names_the_way_as_well_as_the_fields_do() {
    let server = Fixture::plain();
    let id = server.publish("chat", "hi");
    for (transport, content_type) in [
        ("sse", "text/event-stream"),
        ("ndjson", "application/x-ndjson"),
        ("poll", "application/json"),
        ("long-poll", "application/json"),
    ] {
        let target = format!("/chat?after=earliest&transport={transport}");
        let head = server.send("HEAD", &target, &[], b"").head;
        assert!(
            head.must("Content-Type").starts_with(content_type),
            "{transport}: {}",
            head.raw
        );
    }
    let polled = server.get("/chat?transport=poll", &[("Accept", "text/event-stream")]);
    assert_eq!(polled.json()["events"][0]["id"], id.as_str());
}
