//! Long polling: whoever waits is answered by somebody else while its own connection reads.

use std::time::{Duration, Instant};

use fourcast::{Leaving, config::Config};

use crate::support::http::{Head, Response, request};
use crate::support::listener::from_poll;
use crate::support::wire::{Arrival, deadline};
use crate::support::{Fixture, PATIENCE, Told, Wire};

mod crowd;

/// Longer than any test waits: whoever is answered in time was not answered by the end of its wait.
const LONG: &str = "wait=60";

fn ask(target: &str) -> Vec<u8> {
    request("GET", target, &[], b"")
}

fn texts(answer: &Response) -> Vec<String> {
    let told = from_poll(answer).into_iter();
    told.filter_map(|told| match told {
        Told::Event(event) => Some(event.text()),
        _ => None,
    })
    .collect()
}

/// Asks with `fields` on a connection of its own, and returns when the server is at work on it: it has asked for
/// the request's last byte.
fn taken(server: &Fixture, target: &str, fields: &[(&str, &str)]) -> Wire {
    taken_on(server.connect(), target, fields)
}

fn taken_on(mut wire: Wire, target: &str, fields: &[(&str, &str)]) -> Wire {
    let expects = [("Expect", "100-continue"), ("Content-Length", "1")];
    wire.send(request("GET", target, &[&expects, fields].concat(), b""));
    let interim = Head::read(&mut wire, deadline()).expect("an interim answer");
    assert_eq!(interim.status, 100);
    wire.send("x");
    wire
}

fn assert_kept(answer: &Response) {
    assert!(!answer.head.lists("Connection", "close"), "{answer:?}");
    answer.head.must("Keep-Alive");
}

#[test]
fn a_request_sent_while_the_one_before_waits_is_answered_after_it() {
    let server = Fixture::plain();
    let cursor = server.publish("chat", "seen");
    let mut wire = taken(&server, &format!("/chat?after={cursor}&{LONG}"), &[]);
    wire.send(ask("/other?after=earliest"));
    wire.send(request("POST", "/chat", &[], b"published behind"));
    assert_eq!(wire.pause(), Arrival::Nothing, "answers come in order");
    server.publish("other", "ready");
    server.publish("chat", "first");
    let first = Response::read(&mut wire, "GET");
    assert_eq!(texts(&first), ["first"]);
    assert_kept(&first);
    assert_eq!(texts(&Response::read(&mut wire, "GET")), ["ready"]);
    assert_eq!(Response::read(&mut wire, "POST").status(), 201);
}

#[test]
fn half_a_head_sent_while_a_request_waits_is_the_beginning_of_the_next() {
    let server = Fixture::plain();
    let mut cursor = server.publish("chat", "seen");
    let mut wire = server.connect();
    let next = ask("/chat?last=1");
    for at in [1, 5, next.len() / 2, next.len() - 1] {
        wire = taken_on(wire, &format!("/chat?after={cursor}&{LONG}"), &[]);
        wire.send(&next[..at]);
        let text = format!("cut at {at}");
        cursor = server.publish("chat", &text);
        let first = Response::read(&mut wire, "GET");
        assert_eq!(texts(&first), [text.as_str()]);
        assert_kept(&first);
        wire.send(&next[at..]);
        assert_eq!(texts(&Response::read(&mut wire, "GET")), [text]);
    }
}

#[test]
fn many_waits_sent_at_once_are_answered_one_after_another() {
    const COUNT: usize = 10;
    let server = Fixture::plain();
    let mut wire = server.connect();
    let asked = (0..COUNT).map(|number| ask(&format!("/chat/{number}?after=now&{LONG}")));
    wire.send(asked.collect::<Vec<_>>().concat());
    for number in 0..COUNT {
        let end = deadline();
        // Its wait begins when the one before was answered.
        while wire.unread.is_empty() && wire.pause() == Arrival::Nothing {
            assert!(Instant::now() < end, "number {number} is not answered");
            server.publish(&format!("chat/{number}"), "called");
        }
        let answer = Response::read(&mut wire, "GET");
        // Who is called again on a busy machine has perhaps not heard it before.
        assert!(texts(&answer).iter().all(|text| text == "called"));
        assert!(!texts(&answer).is_empty());
        assert_kept(&answer);
    }
}

/// Several lines of a batch, of `bytes` each.
fn batch(count: usize, bytes: usize) -> String {
    let line = |number| format!("{{\"data\":\"{number} {}\"}}\n", "x".repeat(bytes));
    (0..count).map(line).collect()
}

const BATCH: [(&str, &str); 1] = [("Content-Type", "application/x-ndjson")];

#[test]
fn an_answer_too_large_to_be_written_at_once_arrives_whole_and_the_connection_goes_on() {
    let server = Fixture::start(|config| config.limits.send_buffer = 8 * 1024);
    let mut cursor = server.head_cursor();
    let mut wire = server.connect().with_small_receive_buffer();
    for bytes in [20_000, 100_000, 900_000, 10] {
        wire = taken_on(wire, &format!("/chat?after={cursor}&{LONG}"), &[]);
        wire.pause();
        let text = "x".repeat(bytes);
        cursor = server.publish("chat", &text);
        let answer = Response::read(&mut wire, "GET");
        assert!(texts(&answer) == [text], "{bytes} bytes");
        assert_kept(&answer);
    }
}

#[test]
fn one_who_reads_slowly_gets_megabytes_whole_answer_by_answer() {
    const COUNT: usize = 1000;
    let server = Fixture::start(|config| config.limits.send_buffer = 8 * 1024);
    let mut cursor = server.head_cursor();
    let mut wire = server.connect().with_small_receive_buffer();
    let target = |cursor: &str| format!("/chat?after={cursor}&limit=1000&{LONG}");
    wire = taken_on(wire, &target(&cursor), &[]);
    wire.pause();
    assert_eq!(
        server.post("/chat", &BATCH, batch(COUNT, 4000)).status(),
        201
    );
    let mut numbers: Vec<usize> = Vec::new();
    while numbers.len() < COUNT {
        let answer = Response::read(&mut wire, "GET");
        let number = |text: &String| text.split(' ').next().and_then(|n| n.parse::<usize>().ok());
        numbers.extend(
            texts(&answer)
                .iter()
                .map(|text| number(text).expect("a number")),
        );
        answer.head.must("Last-Event-ID").clone_into(&mut cursor);
        if answer.head.lists("Connection", "close") {
            wire.expect_end();
            wire = server.connect().with_small_receive_buffer();
        }
        wire.send(ask(&target(&cursor)));
    }
    assert_eq!(numbers, (0..COUNT).collect::<Vec<_>>());
}

#[test]
fn a_client_that_keeps_no_connection_is_answered_and_let_go_at_once() {
    let server = Fixture::plain();
    let mut cursor = server.publish("chat", "seen");
    for version in [
        "1.0\r\n",
        "1.1\r\nConnection: close\r\n",
        "1.1\r\nConnection: Close, TE\r\n",
    ] {
        for body in ["short", &"x".repeat(50_000)] {
            let mut wire = server.connect();
            wire.send(format!(
                "GET /chat?after={cursor}&{LONG} HTTP/{version}Host: localhost\r\n\r\n"
            ));
            assert_eq!(wire.pause(), Arrival::Nothing);
            cursor = server.publish("chat", body);
            let answer = Response::read(&mut wire, "GET");
            assert!(texts(&answer) == [body], "{version:?}");
            assert!(answer.head.lists("Connection", "close"), "{version:?}");
            wire.expect_end();
        }
    }
}

#[test]
fn a_wait_that_is_over_is_answered_empty_and_the_next_one_waits_again() {
    let server = Fixture::plain();
    let cursor = server.publish("chat", "seen");
    let mut wire = server.connect();
    for _ in 0..2 {
        wire.send(ask(&format!("/chat?after={cursor}&wait=1")));
        let empty = Response::read(&mut wire, "GET");
        assert!(texts(&empty).is_empty());
        assert_eq!(empty.head.must("Last-Event-ID"), cursor);
        assert_kept(&empty);
    }
    wire.send(ask(&format!("/chat?after={cursor}&{LONG}")));
    assert_eq!(wire.pause(), Arrival::Nothing);
    server.publish("chat", "news");
    let answer = Response::read(&mut wire, "GET");
    assert_eq!(texts(&answer), ["news"]);
    assert_kept(&answer);
    wire.send(ask("/chat?last=1"));
    assert_eq!(texts(&Response::read(&mut wire, "GET")), ["news"]);
}

#[test]
fn a_wait_ends_in_time_though_the_next_request_is_there_already() {
    let server = Fixture::plain();
    let cursor = server.publish("chat", "seen");
    let mut wire = server.connect();
    let waiting = ask(&format!("/chat?after={cursor}&wait=1"));
    wire.send([&waiting[..], &ask("/chat?last=1")].concat());
    let empty = Response::read(&mut wire, "GET");
    assert!(texts(&empty).is_empty());
    assert_kept(&empty);
    assert_eq!(texts(&Response::read(&mut wire, "GET")), ["seen"]);
}

/// A server that would wait longer than a test for those that do not go.
fn patient(config: &mut Config) {
    config.timeouts.drain = Duration::from_secs(60);
}

fn assert_stops_at_once(server: Fixture, check: impl FnOnce()) {
    let begun = Instant::now();
    let stopped = server.stop(Leaving::Restart);
    check();
    stopped.join().expect("the server stops");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn a_stop_answers_all_who_wait_and_waits_for_none_of_them() {
    let server = Fixture::start(patient);
    let cursor = server.publish("chat", "seen");
    let mut wires: Vec<Wire> = ["/chat", "/chat,other", "/**", "/none"]
        .iter()
        .cycle()
        .take(20)
        .map(|path| taken(&server, &format!("{path}?after={cursor}&{LONG}"), &[]))
        .collect();
    for wire in wires.iter_mut().skip(10) {
        wire.send("GET /chat HT");
    }
    assert_stops_at_once(server, || {
        for mut wire in wires {
            let answer = Response::read(&mut wire, "GET");
            assert!(texts(&answer).is_empty());
            assert_eq!(answer.head.must("Last-Event-ID"), cursor);
            assert!(answer.head.lists("Connection", "close"));
            wire.expect_end();
        }
    });
}

#[test]
fn a_stop_cuts_one_who_was_answered_and_asks_nothing_more() {
    let server = Fixture::start(patient);
    let cursor = server.publish("chat", "seen");
    let mut wires: Vec<Wire> = (0..5)
        .map(|_| taken(&server, &format!("/chat?after={cursor}&{LONG}"), &[]))
        .collect();
    server.publish("chat", "news");
    for wire in &mut wires {
        let answer = Response::read(wire, "GET");
        assert_eq!(texts(&answer), ["news"]);
        assert_kept(&answer);
    }
    assert_stops_at_once(server, || {
        wires.iter_mut().for_each(Wire::expect_end);
    });
}
