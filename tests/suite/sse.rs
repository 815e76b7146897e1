//! Server-Sent Events by the WHATWG rules (HTML, section 9.2), read with a parser of the suite's own.

use std::time::Duration;

use crate::support::sse::{EventSource, Item, Message, Parser};
use crate::support::{Event, Fixture, request};

const ACCEPT: (&str, &str) = ("Accept", "text/event-stream");

fn open(server: &Fixture, target: &str, fields: &[(&str, &str)]) -> EventSource {
    let fields = [&[ACCEPT], fields].concat();
    EventSource::open(server.connect(), &request("GET", target, &fields, b""))
}

fn message(source: &mut EventSource) -> Message {
    source.next_message().expect("a message before the end")
}

fn items(bytes: &str) -> Vec<Item> {
    let mut parser = Parser::default();
    // One byte at a time: the hardest way to cut a stream.
    bytes.bytes().for_each(|byte| parser.feed(&[byte]));
    std::iter::from_fn(|| parser.next()).collect()
}

#[test]
fn the_suites_own_parser_reads_the_examples_of_the_specification() {
    let said = |kind: &str, data: &str, id: &str| {
        Item::Message(Message {
            kind: kind.into(),
            data: data.into(),
            last_event_id: id.into(),
        })
    };
    let stocks = items("data: YHOO\ndata: +2\ndata: 10\n\n");
    assert_eq!(stocks, [said("message", "YHOO\n+2\n10", "")]);
    let ids = items(
        ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
    );
    assert_eq!(
        ids,
        [
            Item::Comment(" test stream".into()),
            said("message", "first event", "1"),
            said("message", "second event", ""),
            said("message", " third event", ""),
        ]
    );
    assert_eq!(
        items("data\n\ndata\ndata\n\ndata:"),
        [said("message", "", ""), said("message", "\n", "")]
    );
    assert_eq!(
        items("\u{feff}data:x\r\n\r\nevent:e\rdata:y\r\r"),
        [said("message", "x", ""), said("e", "y", "")]
    );
    assert_eq!(
        items("id: 7\n\nevent: e\n\ndata: x\n\n"),
        [said("message", "x", "7")]
    );
    assert_eq!(items("retry: 10\nretry: 1x\n\n"), [Item::Retry(10)]);
    assert_eq!(items("id: a\0b\ndata: x\n\n"), [said("message", "x", "")]);
}

#[test]
fn the_head_of_a_stream_is_what_browsers_and_proxies_need() {
    let server = Fixture::plain();
    let source = open(&server, "/chat", &[]);
    assert!(
        source
            .head
            .must("Content-Type")
            .starts_with("text/event-stream")
    );
    assert_eq!(source.head.must("Transfer-Encoding"), "chunked");
    assert_eq!(source.head.must("X-Accel-Buffering"), "no");
    assert!(source.head.lists("Cache-Control", "no-store"));
    assert!(source.head.lists("Cache-Control", "no-transform"));
    assert!(source.head.field("Content-Length").is_none());
    source.head.must("Date");
}

#[test]
fn the_first_block_welcomes_with_a_cursor_and_a_time_to_come_back() {
    let server = Fixture::start(|config| config.heartbeat.interval = Duration::from_secs(7));
    let id = server.publish("chat", "before");
    let mut source = open(&server, "/chat", &[]);
    let block = source.next_chunk().expect("a chunk");
    let block = String::from_utf8(block).expect("UTF-8");
    let lines: Vec<&str> = block.lines().collect();
    assert_eq!(lines[0], "event: welcome");
    assert_eq!(lines[1], format!("id: {id}"));
    let retry = lines[2].strip_prefix("retry: ").expect("a retry");
    assert_ne!(retry.parse::<u64>().expect("milliseconds"), 0);
    let welcome = format!("data: {{\"op\":\"welcome\",\"cursor\":\"{id}\",\"heartbeat_ms\":7000}}");
    assert_eq!(lines[3], welcome);
    assert_eq!(lines[4], "");
}

#[test]
fn an_event_is_a_block_of_id_and_data_without_a_type() {
    let server = Fixture::plain();
    let mut source = open(&server, "/chat", &[]);
    assert_eq!(message(&mut source).kind, "welcome");
    let id = server.publish_as("/chat?type=order", &[], "line 1\nline 2");
    let chunk = source.next_chunk().expect("a chunk");
    let chunk = String::from_utf8(chunk).expect("UTF-8");
    let block = chunk.strip_prefix(":\n\n").unwrap_or(&chunk);
    let data = block
        .strip_prefix(&format!("id: {id}\ndata: "))
        .and_then(|rest| rest.strip_suffix("\n\n"))
        .unwrap_or_else(|| panic!("{block:?}"));
    assert_eq!(Event::parse(data).kind, "order");
}

#[test]
fn every_chunk_ends_between_two_blocks() {
    let server = Fixture::plain();
    for _ in 0..20 {
        server.publish("chat", &"kept ".repeat(3000));
    }
    let mut source = open(&server, "/chat?after=earliest", &[]);
    for _ in 0..20 {
        server.publish("chat", "live");
    }
    let mut parser = Parser::default();
    let mut seen = 0;
    while seen < 40 {
        let chunk = source.next_chunk().expect("a chunk");
        assert!(chunk.ends_with(b"\n\n"), "a cut inside a block");
        parser.feed(&chunk);
        assert!(parser.between_blocks());
        while let Some(item) = parser.next() {
            seen += usize::from(matches!(item, Item::Message(m) if m.kind == "message"));
        }
    }
    assert_eq!(seen, 40);
}

#[test]
fn a_quiet_stream_says_that_it_is_there() {
    let server = Fixture::start(|config| config.heartbeat.interval = Duration::from_millis(100));
    let mut source = open(&server, "/chat", &[]);
    message(&mut source);
    for _ in 0..3 {
        assert_eq!(source.next_chunk().as_deref(), Some(&b":\n\n"[..]));
    }
    server.publish("chat", "hi");
    let event = message(&mut source);
    assert_eq!(Event::parse(&event.data).text(), "hi");
}

#[test]
fn a_client_of_http_1_0_is_served_without_chunks() {
    let server = Fixture::plain();
    server.publish("chat", "kept");
    let bytes = "GET /chat?after=earliest HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n";
    let mut source = EventSource::open(server.connect(), bytes.as_bytes());
    assert_eq!(source.head.field("Transfer-Encoding"), None);
    assert_eq!(message(&mut source).kind, "welcome");
    assert_eq!(Event::parse(&message(&mut source).data).text(), "kept");
    server.publish("chat", "live");
    assert_eq!(Event::parse(&message(&mut source).data).text(), "live");
    server
        .stop(fourcast::Leaving::Restart)
        .join()
        .expect("a stop");
    assert_eq!(message(&mut source).kind, "bye");
    assert_eq!(source.next_item(), None);
}

#[test]
fn raw_data_keeps_its_lines_whatever_ends_them() {
    let server = Fixture::plain();
    let mut source = open(&server, "/chat?format=raw", &[]);
    assert_eq!(message(&mut source).kind, "welcome");
    let id = server.publish("chat", "one\ntwo\r\nthree\rfour\n");
    let raw = message(&mut source);
    assert_eq!(
        (raw.kind.as_str(), raw.last_event_id.as_str()),
        ("message", id.as_str())
    );
    assert_eq!(raw.data, "one\ntwo\nthree\nfour\n");
    server.publish_as(
        "/chat?type=order",
        &[("Content-Type", "application/json")],
        "{ \"a\": 1.0 }",
    );
    let raw = message(&mut source);
    assert_eq!(
        (raw.kind.as_str(), raw.data.as_str()),
        ("order", r#"{"a":1.0}"#)
    );
    server.publish_as("/chat", &[("Content-Type", "image/png")], [0xff, 0x00]);
    assert_eq!(message(&mut source).data, "/wA=");
}

#[test]
fn raw_data_cannot_pass_for_a_field_or_a_block() {
    let server = Fixture::plain();
    let mut source = open(&server, "/chat?format=raw", &[]);
    message(&mut source);
    for text in [
        "x\n\nevent: bye\ndata: forged\n\n",
        "x\rid: forged\rretry: 1\r\r",
        "\n\n\n",
        "\r\n\r\n",
        " leading space",
        ": a comment?",
        "\u{feff}mark",
    ] {
        let id = server.publish("chat", text);
        let raw = message(&mut source);
        assert_eq!(
            (raw.kind.as_str(), raw.last_event_id.as_str()),
            ("message", id.as_str())
        );
        assert_eq!(
            raw.data,
            text.replace("\r\n", "\n").replace('\r', "\n"),
            "{text:?}"
        );
    }
}

#[test]
fn an_empty_payload_is_an_event_all_the_same() {
    let server = Fixture::plain();
    let mut source = open(&server, "/chat?format=raw", &[]);
    message(&mut source);
    let id = server.publish("chat", "");
    let raw = message(&mut source);
    assert_eq!((raw.data.as_str(), raw.last_event_id), ("", id));
}

#[test]
fn a_gap_is_a_block_with_a_type_and_an_id() {
    let server = Fixture::plain();
    server.publish("chat", "kept");
    let mut source = open(&server, "/chat", &[("Last-Event-ID", "zzzzzzzzzz-1")]);
    assert_eq!(message(&mut source).kind, "welcome");
    let gap = message(&mut source);
    assert_eq!(gap.kind, "gap");
    let object: serde_json::Value = serde_json::from_str(&gap.data).expect("JSON");
    assert_eq!(object["cursor"], gap.last_event_id.as_str());
    assert_eq!(object["reason"], "epoch");
    assert_eq!(object["from"], "zzzzzzzzzz-1");
}

#[test]
fn the_stream_is_chosen_by_accept_in_whatever_company() {
    let server = Fixture::plain();
    for accept in [
        "text/event-stream",
        "text/event-stream, */*;q=0.1",
        "application/json, Text/Event-Stream;q=0.9",
        "*/*, text/event-stream",
    ] {
        let head = server
            .send("HEAD", "/chat", &[("Accept", accept)], b"")
            .head;
        assert!(
            head.must("Content-Type").starts_with("text/event-stream"),
            "{accept}"
        );
    }
    let head = server
        .send("HEAD", "/chat", &[("Accept", "text/event-streamer")], b"")
        .head;
    assert_eq!(head.must("Content-Type"), "application/json");
}
