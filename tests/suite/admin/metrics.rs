//! What `/metrics` tells is what happened: counted here by the clients themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::thread;

use fourcast::config::Retention;
use serde_json::json;

use super::{connections, eventually, get, server};
use crate::support::{Fixture, Listener, PATIENCE, Way, WebSocket, request, tls};

/// The samples that are told, by name and label as they stand there.
pub(super) struct Metrics {
    text: String,
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    pub(super) fn of(server: &Fixture) -> Self {
        let answer = get(server, "/metrics");
        assert_eq!(answer.status(), 200);
        let media_type = answer.head.must("Content-Type");
        assert_eq!(media_type, "text/plain; version=0.0.4; charset=utf-8");
        let text = answer.text().to_owned();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        };
        let samples = lines.map(sample).collect();
        Metrics { text, samples }
    }

    /// The value of a sample that must be there.
    pub(super) fn get(&self, name: &str) -> f64 {
        let value = self.samples.get(name).copied();
        value.unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }

    /// Events that were handed over by each way: polls, long polls, SSE, NDJSON, WebSocket.
    fn deliveries(&self) -> [f64; 5] {
        let ways = ["http", "long-poll", "sse", "ndjson", "websocket"];
        ways.map(|way| self.get(&format!("fourcast_deliveries_total{{way=\"{way}\"}}")))
    }

    /// The labels of the samples of this name.
    pub(super) fn labels(&self, name: &str) -> BTreeSet<&str> {
        let samples = self.samples.keys();
        let labels = samples.filter_map(|sample| sample.strip_prefix(name)?.strip_prefix('{'));
        labels
            .filter_map(|labels| Some(labels.split_once('=')?.0))
            .collect()
    }

    /// Name and kind of every family.
    pub(super) fn families(&self) -> Vec<(&str, &str)> {
        let kinds = self
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "));
        let kinds = kinds.map(|line| line.split_once(' ').expect("a kind"));
        kinds.collect()
    }
}

fn value(server: &Fixture, name: &str) -> f64 {
    Metrics::of(server).get(name)
}

#[test]
fn each_event_counts_once_for_each_who_got_it_by_its_way() {
    const EVENTS: usize = 20;
    const EACH: usize = 3;
    let server = server(|_| {});
    let ways = Way::ALL.into_iter().flat_map(|way| [way; EACH]);
    let mut listeners: Vec<_> = ways
        .map(|way| Listener::open(way, &server, "/chat?after=now"))
        .collect();
    let texts: Vec<_> = (0..EVENTS)
        .map(|number| format!("event {number}"))
        .collect();
    for text in &texts {
        server.publish("chat", text);
    }
    for listener in &mut listeners {
        assert_eq!(listener.texts(EVENTS), texts);
    }
    // What a client has read was counted at about that time.
    eventually("all are counted", || {
        Metrics::of(&server).deliveries() == [(EVENTS * EACH) as f64; 5]
    });
    let metrics = Metrics::of(&server);
    let bytes: usize = texts.iter().map(String::len).sum();
    assert_eq!(
        metrics.get("fourcast_events_published_total"),
        EVENTS as f64
    );
    assert_eq!(metrics.get("fourcast_published_bytes_total"), bytes as f64);
    assert_eq!(metrics.get("fourcast_journal_events"), EVENTS as f64);
    assert_eq!(metrics.get("fourcast_journal_channels"), 1.0);
    assert_eq!(
        metrics.get("fourcast_journal_append_seconds_count"),
        EVENTS as f64
    );
    assert!(metrics.get("fourcast_delivery_delay_seconds_count") >= EVENTS as f64);
}

#[test]
fn those_who_are_connected_count_by_what_they_do() {
    let server = server(|_| {});
    let streams = [Way::Sse, Way::Sse, Way::Ndjson, Way::WebSocket]
        .map(|way| Listener::open(way, &server, "/chat"));
    let waits = Listener::open(Way::LongPoll, &server, "/chat?wait=60");
    eventually("the long poll waits", || {
        value(&server, "fourcast_connections{way=\"long-poll\"}") == 1.0
    });
    let metrics = Metrics::of(&server);
    for (way, count) in [
        ("sse", 2.0),
        ("ndjson", 1.0),
        ("websocket", 1.0),
        ("http", 0.0),
    ] {
        assert_eq!(
            metrics.get(&format!("fourcast_connections{{way=\"{way}\"}}")),
            count
        );
    }
    assert_eq!(metrics.get("fourcast_connections_accepted_total"), 5.0);
    drop((streams, waits));
    eventually("all have gone", || connections(&server, "").is_empty());
}

#[test]
fn bytes_are_those_that_the_client_saw() {
    let server = server(|_| {});
    let mut wire = server.connect();
    let publication = request("POST", "/chat", &[("Connection", "close")], b"hello");
    wire.send(&publication);
    let answer = wire.take_rest(crate::support::deadline());
    // By TLS they are the least of what went over the wire.
    let is_it = |counted: f64, bytes: &[u8]| match tls::is_usual() {
        true => counted > bytes.len() as f64,
        false => counted == bytes.len() as f64,
    };
    eventually("it is counted", || {
        let metrics = Metrics::of(&server);
        is_it(metrics.get("fourcast_received_bytes_total"), &publication)
            && is_it(metrics.get("fourcast_sent_bytes_total"), &answer)
    });
    assert_eq!(value(&server, "fourcast_requests_total"), 1.0);
}

#[test]
fn gaps_and_refusals_are_counted_by_what_was_told() {
    let server = server(|config| {
        config.channels = vec![Retention {
            max_events: 1,
            ..Retention::default()
        }];
    });
    let metrics = Metrics::of(&server);
    for name in [
        "fourcast_gaps_total{reason=\"retention\"}",
        "fourcast_gaps_total{reason=\"overtaken\"}",
        "fourcast_refusals_total{code=\"bad_cursor\"}",
        "fourcast_refusals_total{code=\"removed\"}",
    ] {
        assert_eq!(metrics.get(name), 0.0, "{name} is there before it happens");
    }
    let first = server.publish("chat", "one");
    server.publish_all("chat", &["two", "three"]);
    let mut listener = Listener::open(Way::Poll, &server, &format!("/chat?after={first}"));
    listener.next_gap();
    assert_eq!(server.get("/chat?after=x", &[]).refusal(), "bad_cursor");
    assert_eq!(server.get("/a*b", &[]).refusal(), "bad_channel");
    assert_eq!(server.get("/a*b", &[]).refusal(), "bad_channel");
    let metrics = Metrics::of(&server);
    assert_eq!(
        metrics.get("fourcast_gaps_total{reason=\"retention\"}"),
        1.0
    );
    assert_eq!(
        metrics.get("fourcast_refusals_total{code=\"bad_cursor\"}"),
        1.0
    );
    assert_eq!(
        metrics.get("fourcast_refusals_total{code=\"bad_channel\"}"),
        2.0
    );
}

#[test]
fn whoever_finds_every_connection_taken_is_counted() {
    let server = server(|config| config.limits.connections = 1);
    let _stream = Listener::open(Way::Sse, &server, "/chat");
    assert_eq!(server.get("/chat", &[]).refusal(), "overloaded");
    let metrics = Metrics::of(&server);
    assert_eq!(metrics.get("fourcast_connections_limit"), 1.0);
    assert_eq!(metrics.get("fourcast_connections_turned_away_total"), 1.0);
    assert_eq!(
        metrics.get("fourcast_refusals_total{code=\"overloaded\"}"),
        1.0
    );
    assert_eq!(metrics.get("fourcast_connections{way=\"sse\"}"), 1.0);
}

#[test]
fn whoever_does_not_read_is_seen_to_be_behind() {
    let server = server(|config| config.limits.send_buffer = 8 * 1024);
    let slow = Listener::open_slow(Way::Sse, &server, "/chat");
    let large = "x".repeat(20_000);
    for _ in 0..100 {
        server.publish("chat", &large);
    }
    eventually("it is behind", || {
        value(&server, "fourcast_subscribers_behind") == 1.0
    });
    let [seen] = &connections(&server, "way=sse")[..] else {
        panic!("there is one");
    };
    assert_eq!(seen["behind"], true, "{seen}");
    let behind = seen["events_behind"].as_u64().expect("a number");
    assert!((1..=100).contains(&behind), "{seen}");
    drop(slow);
}

#[test]
fn what_was_missed_counts_once_too_however_it_is_caught_up_on() {
    // Several pages.
    const EVENTS: usize = 250;
    let server = server(|_| {});
    let texts: Vec<_> = (0..EVENTS).map(|number| number.to_string()).collect();
    for text in &texts {
        server.publish_embedded("chat", text);
    }
    for way in Way::ALL {
        let mut listener = Listener::open(way, &server, "/chat?after=earliest");
        assert_eq!(listener.texts(EVENTS), texts);
    }
    let mut socket = WebSocket::open(server.address, "/-/socket");
    socket.next_op("welcome");
    socket.operate(json!({"op": "subscribe", "channels": ["chat"], "after": "earliest"}));
    while socket.next_json()["op"] != "live" {}
    let all = EVENTS as f64;
    eventually("all are counted", || {
        Metrics::of(&server).deliveries() == [all, all, all, all, 2.0 * all]
    });
}

#[test]
fn what_was_handed_over_in_pieces_counts_once() {
    const EVENTS: usize = 100;
    let server = server(|config| config.limits.send_buffer = 8 * 1024);
    let mut slow = Listener::open_slow(Way::Ndjson, &server, "/chat");
    for number in 0..EVENTS {
        server.publish_embedded("chat", &format!("{number} {}", "x".repeat(20_000)));
    }
    eventually("it is behind", || {
        value(&server, "fourcast_subscribers_behind") == 1.0
    });
    slow.texts(EVENTS);
    let mut fast = Listener::open(Way::Sse, &server, "/chat");
    server.publish("chat", "last");
    slow.next_event();
    fast.next_event();
    eventually("all are counted", || {
        Metrics::of(&server).deliveries() == [0.0, 0.0, 1.0, EVENTS as f64 + 1.0, 0.0]
    });
}

/// The counters, which may only grow.
fn counters(metrics: &Metrics) -> Vec<(&str, f64)> {
    let families = metrics.families();
    let grows = |name: &str| {
        families.iter().any(|(family, kind)| {
            let is_its = name.strip_prefix(family);
            is_its.is_some_and(|rest| match *kind {
                "counter" => rest.is_empty() || rest.starts_with('{'),
                "histogram" => rest.starts_with('_'),
                _ => false,
            })
        })
    };
    let samples = metrics.samples.iter();
    let samples = samples.map(|(name, value)| (name.as_str(), *value));
    samples.filter(|(name, _)| grows(name)).collect()
}

#[test]
fn the_port_answers_while_the_server_drowns_and_no_counter_ever_goes_down() {
    const READERS: usize = 4;
    const FLOODS: usize = 6;
    const EACH: usize = 4_000;
    let server = server(|config| {
        // None is left for anybody else.
        config.limits.connections = READERS + 1;
        config.limits.send_buffer = 8 * 1024;
        // Whoever does not read stays, however slow this machine is.
        config.timeouts.write = 60 * PATIENCE;
    });
    let mut readers = [(); READERS].map(|()| Listener::open(Way::WebSocket, &server, "/flood/*"));
    let _deaf = Listener::open_slow(Way::Sse, &server, "/flood/*");
    thread::scope(|scope| {
        let (more, wanted) = mpsc::channel::<()>();
        let server = &server;
        scope.spawn(move || {
            for number in wanted.iter().flat_map(|()| 0..EACH) {
                server.publish_embedded(&format!("flood/{}", number % 50), "drop");
            }
            server.publish_embedded("flood/over", "over");
        });
        let readers = readers.each_mut().map(|reader| {
            let mut texts = std::iter::from_fn(|| Some(reader.next_event().text()));
            scope.spawn(move || texts.position(|text| text == "over"))
        });
        more.send(()).expect("a flood");
        eventually("one is behind", || {
            value(server, "fourcast_subscribers_behind") >= 1.0
        });
        let mut before = Metrics::of(server);
        for _ in 1..FLOODS {
            more.send(()).expect("a flood");
            before = look(server, &before);
        }
        drop(more);
        for reader in readers {
            assert_eq!(reader.join().expect("a reader"), Some(FLOODS * EACH));
        }
    });
    let published = value(&server, "fourcast_events_published_total");
    assert_eq!(published, (FLOODS * EACH) as f64 + 1.0);
    assert!(value(&server, "fourcast_subscribers_behind") >= 1.0);
}

/// Asks for everything, while the data port has no room for one more.
fn look(server: &Fixture, before: &Metrics) -> Metrics {
    assert_eq!(server.get("/chat", &[]).refusal(), "overloaded");
    for target in ["/-/channels", "/-/connections", "/-/ready"] {
        assert_eq!(get(server, target).status(), 200, "{target}");
    }
    let now = Metrics::of(server);
    for (name, value) in counters(before) {
        assert!(now.get(name) >= value, "{name} went down from {value}");
    }
    let turned_away = |metrics: &Metrics| metrics.get("fourcast_connections_turned_away_total");
    assert!(turned_away(&now) > turned_away(before));
    now
}
