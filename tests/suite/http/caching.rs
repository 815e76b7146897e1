//! Polls as HTTP sees them: validators, preferences, pages.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::http::Framing;
use crate::support::listener::from_poll;
use crate::support::{Fixture, Listener, Response, Told, Way, request};

fn texts(answer: &Response) -> Vec<String> {
    from_poll(answer)
        .into_iter()
        .filter_map(|told| match told {
            Told::Event(event) => Some(event.text()),
            _ => None,
        })
        .collect()
}

fn cursor(answer: &Response) -> String {
    answer.json()["cursor"]
        .as_str()
        .expect("a cursor")
        .to_owned()
}

#[test]
fn the_validator_of_a_poll_is_its_cursor_compared_weakly() {
    let server = Fixture::plain();
    server.publish("chat", "1");
    let first = server.get("/chat", &[]);
    let etag = first.head.must("ETag").to_owned();
    let weak = format!("W/{}", etag.trim_start_matches("W/"));
    for validator in [&etag, &weak, &format!("\"other\", {etag}")] {
        let answer = server.get("/chat", &[("If-None-Match", validator)]);
        assert_eq!(answer.status(), 304, "{validator}: {}", answer.text());
        assert!(answer.body.is_empty());
        assert!(answer.head.must("ETag").trim_start_matches("W/") == etag.trim_start_matches("W/"));
    }
    server.publish("chat", "2");
    for validator in [&etag, &weak] {
        let answer = server.get("/chat", &[("If-None-Match", validator)]);
        assert_eq!(answer.status(), 200);
        assert_eq!(texts(&answer), ["2"]);
        assert_ne!(answer.head.must("ETag"), etag);
    }
}

#[test]
fn a_validator_that_nobody_gave_is_a_gap_and_no_304() {
    let server = Fixture::plain();
    server.publish("chat", "1");
    for (validator, reason) in [("\"zzzzzzzzzz-1\"", "epoch"), ("\"nonsense\"", "unknown")] {
        let answer = server.get("/chat", &[("If-None-Match", validator)]);
        assert_eq!(answer.status(), 200, "{validator}");
        assert_eq!(answer.json()["gap"]["reason"], reason, "{validator}");
    }
}

#[test]
fn a_validator_waits_as_a_cursor_does() {
    let server = Fixture::plain();
    server.publish("chat", "1");
    let etag = server.get("/chat", &[]).head.must("ETag").to_owned();
    let mut wire = server.connect();
    wire.send(request(
        "GET",
        "/chat",
        &[("If-None-Match", &etag), ("Prefer", "wait=10")],
        b"",
    ));
    server.publish("chat", "2");
    let answer = Response::read(&mut wire, "GET");
    assert_eq!(
        (answer.status(), texts(&answer)),
        (200, vec!["2".to_owned()])
    );
}

#[test]
fn the_wait_that_was_granted_is_named_and_capped() {
    let server = Fixture::start(|config| config.timeouts.long_poll = Duration::from_secs(1));
    let id = server.publish("chat", "1");
    let answer = server.get("/chat", &[("Prefer", "wait=1")]);
    assert_eq!(answer.head.must("Preference-Applied"), "wait=1");
    assert_eq!(texts(&answer), ["1"]);
    let begun = Instant::now();
    let answer = server.get(
        &format!("/chat?after={id}"),
        &[("Prefer", "respond-async, Wait = 100")],
    );
    let waited = begun.elapsed();
    assert_eq!(answer.head.must("Preference-Applied"), "wait=1");
    assert_eq!(
        answer.text(),
        format!("{{\"cursor\":\"{id}\",\"more\":false,\"events\":[]}}\n")
    );
    assert!(waited >= Duration::from_millis(900), "{waited:?}");
    assert!(
        server
            .get("/chat", &[])
            .head
            .field("Preference-Applied")
            .is_none()
    );
}

#[test]
fn a_long_poll_answers_at_the_first_event() {
    let server = Fixture::plain();
    let id = server.publish("chat", "1");
    let mut wire = server.connect();
    wire.send(request(
        "GET",
        &format!("/chat?after={id}&wait=60"),
        &[],
        b"",
    ));
    assert_eq!(wire.pause(), crate::support::wire::Arrival::Nothing);
    server.publish("other", "not this");
    server.publish("chat", "2");
    let answer = Response::read(&mut wire, "GET");
    assert_eq!(texts(&answer), ["2"]);
    assert!(matches!(
        Framing::of(&answer.head, "GET"),
        Framing::Sized(_)
    ));
}

#[test]
fn a_long_poll_is_answered_at_once_by_a_gap() {
    let server = Fixture::plain();
    server.publish("chat", "1");
    let begun = Instant::now();
    let answer = server.get("/chat?after=zzzzzzzzzz-1&wait=60", &[]);
    assert_eq!(answer.json()["gap"]["reason"], "epoch");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_long_poll_whose_client_has_gone_leaves_its_place() {
    let server = Fixture::start(|config| config.limits.connections = 1);
    let mut held = server.connect();
    held.send(request("GET", "/chat?after=now&wait=60", &[], b""));
    server.wait_for_status("/chat", 503);
    drop(held);
    server.wait_for_status("/chat", 200);
}

#[test]
fn pages_follow_each_other_until_there_is_no_more() {
    let server = Fixture::plain();
    server.publish_all("chat", &["1", "2", "3", "4", "5"]);
    let mut after = "earliest".to_owned();
    let mut pages = Vec::new();
    loop {
        let answer = server.get(&format!("/chat?after={after}&limit=2"), &[]);
        pages.push(texts(&answer));
        after = cursor(&answer);
        if answer.json()["more"] == Value::Bool(false) {
            break;
        }
    }
    let pages: Vec<String> = pages.into_iter().map(|page| page.concat()).collect();
    assert_eq!(pages.join(" ").trim_end(), "12 34 5");
    assert!(texts(&server.get(&format!("/chat?after={after}"), &[])).is_empty());
}

/// The data of a page that hands out no cursor in its fields.
fn data(page: &Response) -> Vec<Value> {
    let page = page.json();
    let events = page["events"].as_array().expect("a list");
    events.iter().map(|event| event["data"].clone()).collect()
}

#[test]
fn before_pages_backwards_and_each_page_is_in_order() {
    let server = Fixture::plain();
    let ids = server.publish_all("chat", &["1", "2", "3", "4", "5"]);
    server.publish("other", "x");
    let first = server.get(&format!("/chat?before={}&limit=2", ids[4]), &[]);
    assert_eq!(data(&first), ["3", "4"]);
    let before = |page: &Response| page.json()["cursor"].as_str().expect("a cursor").to_owned();
    let second = server.get(&format!("/chat?before={}&limit=2", before(&first)), &[]);
    assert_eq!(data(&second), ["1", "2"]);
    let third = server.get(&format!("/chat?before={}&limit=2", before(&second)), &[]);
    assert!(data(&third).is_empty());
    assert_eq!(third.json()["more"], false);
    // Whoever followed a validator forwards would get events twice.
    assert!(first.head.field("ETag").is_none() && first.head.field("Last-Event-ID").is_none());
}

#[test]
fn a_page_before_a_cursor_that_nobody_knows_is_a_gap_and_the_newest() {
    let server = Fixture::plain();
    server.publish_all("chat", &["1", "2"]);
    let page = server.get("/chat?before=zzzzzzzzzz-9&limit=1", &[]);
    assert_eq!(data(&page), ["2"]);
    assert_eq!(page.json()["gap"]["reason"], "epoch");
    assert_eq!(page.json()["gap"]["from"], "zzzzzzzzzz-9");
}

#[test]
fn an_answer_has_a_hundred_events_unless_more_are_asked_for() {
    let server = Fixture::start(|config| config.limits.batch_events = 1000);
    let batch = "{\"data\":\"x\"}\n".repeat(1000);
    let kind = [("Content-Type", "application/x-ndjson")];
    for _ in 0..2 {
        assert_eq!(server.post("/chat", &kind, &batch).status(), 201);
    }
    let by_default = server.get("/chat?after=earliest", &[]);
    assert_eq!(
        (texts(&by_default).len(), by_default.json()["more"].clone()),
        (100, true.into())
    );
    assert_eq!(
        texts(&server.get("/chat?after=earliest&limit=1000", &[])).len(),
        1000
    );
}

#[test]
fn an_answer_stays_below_a_mebibyte_unless_it_is_one_event() {
    let server = Fixture::plain();
    let large = "x".repeat(400_000);
    for _ in 0..4 {
        server.publish("chat", &large);
    }
    let answer = server.get("/chat?after=earliest", &[]);
    assert!(answer.body.len() <= 1 << 20, "{} bytes", answer.body.len());
    assert_eq!(answer.json()["more"], true);
    let mut listener = Listener::open(Way::Poll, &server, "/chat?after=earliest");
    assert!(listener.texts(4).iter().all(|text| *text == large));
}

#[test]
fn a_raw_poll_is_the_event_as_it_was_published() {
    let server = Fixture::plain();
    let kind = [("Content-Type", "image/png")];
    let first = server.publish_as("/rooms/1?type=photo", &kind, b"\x89PNG\r\n\x00");
    let second = server.publish("rooms/1", "text");
    let answer = server.get("/rooms/*?format=raw", &[]);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body, b"\x89PNG\r\n\x00");
    assert_eq!(answer.head.must("Content-Type"), "image/png");
    assert_eq!(answer.head.must("Last-Event-ID"), first);
    assert_eq!(answer.head.must("Fourcast-Channel"), "rooms/1");
    assert_eq!(answer.head.must("Fourcast-Type"), "photo");
    assert!(answer.head.must("Fourcast-Time").parse::<u64>().is_ok());
    let answer = server.get(&format!("/rooms/*?format=raw&after={first}"), &[]);
    assert_eq!(
        (answer.text(), answer.head.must("Last-Event-ID")),
        ("text", second.as_str())
    );
    assert!(answer.head.must("Content-Type").starts_with("text/plain"));
    let none = server.get(&format!("/rooms/*?format=raw&after={second}"), &[]);
    assert_eq!(
        (none.status(), none.head.must("Last-Event-ID")),
        (204, second.as_str())
    );
    let gap = server.get("/rooms/*?format=raw&after=zzzzzzzzzz-1", &[]);
    assert_eq!(gap.head.must("Fourcast-Gap"), "epoch");
}

#[test]
fn a_raw_long_poll_waits_for_its_event() {
    let server = Fixture::plain();
    let cursor = server.head_cursor();
    let mut wire = server.connect();
    let target = format!("/chat?format=raw&wait=60&after={cursor}");
    wire.send(request("GET", &target, &[], b""));
    let id = server.publish_as(
        "/chat",
        &[("Content-Type", "application/json")],
        "{ \"a\" : 1.0 }",
    );
    let answer = Response::read(&mut wire, "GET");
    assert_eq!((answer.status(), answer.text()), (200, r#"{"a":1.0}"#));
    assert_eq!(answer.head.must("Last-Event-ID"), id);
    assert!(
        answer
            .head
            .must("Content-Type")
            .starts_with("application/json")
    );
}

#[test]
fn a_405_names_what_is_allowed() {
    let server = Fixture::plain();
    for (method, target, allowed) in [
        (
            "PATCH",
            "/chat",
            &["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"][..],
        ),
        ("POST", "/-/healthy", &["GET", "HEAD"]),
        ("DELETE", "/-/ready", &["GET", "HEAD"]),
        ("GET", "/-/publish", &["POST"]),
    ] {
        let answer = server.send(method, target, &[], b"");
        assert_eq!(answer.status(), 405, "{method} {target}");
        for method in allowed {
            assert!(
                answer.head.lists("Allow", method),
                "{method}: {}",
                answer.head.raw
            );
        }
    }
}

#[test]
fn a_426_names_what_to_upgrade_to() {
    let server = Fixture::plain();
    for target in ["/chat?transport=websocket", "/-/socket"] {
        let answer = server.get(target, &[]);
        assert_eq!(
            (answer.status(), answer.refusal()),
            (426, "upgrade_required".into())
        );
        assert!(
            answer.head.lists("Upgrade", "websocket"),
            "{}",
            answer.head.raw
        );
    }
}
