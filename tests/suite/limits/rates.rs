//! Rates of requests and of publishes, with buckets that do not fill again while a test runs.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use fourcast::config::{ClientFrom, Config, Mode, Per, Proxies, Rate, Rates, Trusted};
use serde_json::{Value, json};

use super::{GREEDY, HONEST, ask, connect, counted};
use crate::support::sse::EventSource;
use crate::support::websocket::{BINARY, Message, PING, PONG};
use crate::support::{Fixture, Frame, PATIENCE, Response, Way, WebSocket, Wire, request, tls};

/// So many, and none more within the hour.
pub(super) fn few(count: u32) -> Option<Rate> {
    let count = count.try_into().expect("one at least");
    Some(Rate {
        count,
        per: Per::Hour,
    })
}

/// With so many requests and events for each address, of which none is exempt.
fn server(requests: Option<Rate>, publishes: Option<Rate>) -> Fixture {
    Fixture::start(|config| limit(config, requests, publishes))
}

fn limit(config: &mut Config, requests: Option<Rate>, publishes: Option<Rate>) {
    config.limits.exempt = Vec::new();
    config.rates = Rates {
        requests_per_address: requests,
        publishes_per_address: publishes,
        burst: Duration::from_secs(3600),
        ..Rates::default()
    };
}

/// Checks that a refusal says when to come back: at the next one of so many an hour, and no earlier.
fn assert_waits(answer: &Response, an_hour: u32) {
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.refusal(), "rate_limited");
    let wait: u32 = answer.head.must("Retry-After").parse().expect("seconds");
    let interval = 3600 / an_hour;
    // A test that took a whole minute would still be right.
    assert!(
        (interval - 60..=interval).contains(&wait),
        "{wait} of {interval} s"
    );
}

#[test]
fn requests_beyond_the_rate_are_refused_and_other_addresses_served() {
    let rate = counted(3, 1);
    let server = server(few(rate), None);
    let mut wire = connect(&server, GREEDY);
    for _ in 0..3 {
        assert_eq!(ask(&mut wire, "GET", "/chat", b"").status(), 200);
    }
    for _ in 0..10 {
        assert_waits(&ask(&mut wire, "GET", "/chat", b""), rate);
    }
    let mut other = connect(&server, HONEST);
    assert_eq!(ask(&mut other, "GET", "/chat", b"").status(), 200);
}

#[test]
fn whoever_goes_on_asking_too_fast_is_told_ten_times_and_then_closed() {
    let rate = counted(1, 1);
    let server = server(few(rate), None);
    let mut wire = connect(&server, GREEDY);
    wire.send(request("GET", "/chat", &[], b"").repeat(100));
    assert_eq!(Response::read(&mut wire, "GET").status(), 200);
    for _ in 0..10 {
        let answer = Response::read(&mut wire, "GET");
        assert_waits(&answer, rate);
        assert!(!answer.head.lists("Connection", "close"));
    }
    let last = Response::read(&mut wire, "GET");
    assert_waits(&last, rate);
    assert!(last.head.lists("Connection", "close"));
    wire.expect_end();
}

#[test]
fn who_heeds_it_in_between_keeps_its_connection() {
    let server = server(None, few(1));
    let mut wire = connect(&server, GREEDY);
    assert_eq!(ask(&mut wire, "POST", "/chat", b"taken").status(), 201);
    for _ in 0..5 {
        for _ in 0..9 {
            assert_waits(&ask(&mut wire, "POST", "/chat", b"refused"), 1);
        }
        assert_eq!(ask(&mut wire, "GET", "/chat", b"").status(), 200);
    }
}

#[test]
fn a_proxy_keeps_its_connection_whatever_one_of_its_clients_does() {
    let server = Fixture::start(|config| {
        limit(config, few(1), None);
        config.access.mode = Mode::Open;
        config.proxies = Proxies {
            trusted: vec![Trusted::Network("127.0.0.1".parse().expect("an address"))],
            client: ClientFrom::XForwardedFor,
        };
    });
    let mut wire = server.connect();
    let mut ask_for = |client| {
        wire.send(request("GET", "/chat", &[("X-Forwarded-For", client)], b""));
        Response::read(&mut wire, "GET").status()
    };
    assert_eq!(ask_for("192.0.2.1"), 200);
    for _ in 0..30 {
        assert_eq!(ask_for("192.0.2.1"), 429);
    }
    assert_eq!(ask_for("192.0.2.2"), 200);
}

#[test]
fn a_new_connection_is_no_way_around_the_rate() {
    let server = server(few(counted(2, 3)), None);
    for number in 0..10 {
        let mut wire = connect(&server, GREEDY);
        // Where not even a handshake is left to it, it is not answered.
        let _ = wire.try_send(request("GET", "/chat", &[], b""));
        match Response::try_read(&mut wire, "GET") {
            Some(answer) if number < 2 => assert_eq!(answer.status(), 200),
            Some(answer) => assert_eq!(answer.status(), 429),
            None => assert!(tls::is_usual() && number > 2, "{number}"),
        }
    }
}

/// To whoever comes too fast nothing is signed, and so nothing said.
#[test]
fn a_handshake_counts_as_a_request() {
    let server = Fixture::secured(|config| limit(config, few(3), None));
    assert_eq!(server.get("/chat", &[]).status(), 200);
    assert_waits(&server.get("/chat", &[]), 3);
    let mut socket = TcpStream::connect(server.address).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
    assert_eq!(socket.read(&mut [0; 64]).expect("an end"), 0);
}

#[test]
fn what_is_no_request_counts_as_one_and_is_not_answered_beyond_the_rate() {
    let server = Fixture::start(|config| {
        config
            .listen
            .iter_mut()
            .for_each(|listen| listen.tls = false);
        config.tls = fourcast::config::Tls::default();
        limit(config, few(3), None);
    });
    for number in 0..10 {
        let mut wire = connect(&server, GREEDY);
        wire.send("garbage\r\n\r\n");
        match Response::try_read(&mut wire, "GET") {
            Some(answer) => assert!(number < 3 && answer.status() == 400, "{number}"),
            None => assert!(number >= 3, "{number}"),
        }
    }
    let mut other = connect(&server, HONEST);
    assert_eq!(ask(&mut other, "GET", "/chat", b"").status(), 200);
}

#[test]
fn an_eventsource_that_comes_too_often_is_told_to_come_back() {
    let rate = counted(1, 2);
    let server = server(few(rate), None);
    let mut wire = connect(&server, GREEDY);
    assert_eq!(ask(&mut wire, "GET", "/chat", b"").status(), 200);
    let bytes = request("GET", "/chat", &Way::Sse.fields(), b"");
    let mut source = EventSource::open(connect(&server, GREEDY), &bytes);
    let bye = source.next_message().expect("a goodbye");
    assert_eq!(bye.kind, "bye");
    let bye: Value = serde_json::from_str(&bye.data).expect("JSON");
    let wait = 3_000_000 / u64::from(rate);
    assert_eq!(bye["code"], 1013);
    assert!(bye["retry_ms"].as_u64() > Some(wait), "{bye}");
    assert!(source.retry > Some(wait), "{:?} ms", source.retry);
    assert_eq!(source.next_message(), None);
}

#[test]
fn a_websocket_that_opens_too_often_is_refused_before_it_opens() {
    let rate = counted(1, 2);
    let server = server(few(rate), None);
    let mut wire = connect(&server, GREEDY);
    assert_eq!(ask(&mut wire, "GET", "/chat", b"").status(), 200);
    let fields = Way::WebSocket.fields();
    let bytes = request("GET", "/chat", &fields, b"");
    let refused = WebSocket::ask(connect(&server, GREEDY), &bytes)
        .err()
        .expect("a refusal");
    assert_waits(&refused, rate);
}

#[test]
fn events_beyond_the_rate_are_not_published() {
    let server = server(None, few(2));
    let mut wire = connect(&server, GREEDY);
    for _ in 0..2 {
        assert_eq!(ask(&mut wire, "POST", "/chat", b"taken").status(), 201);
    }
    assert_waits(&ask(&mut wire, "POST", "/chat", b"refused"), 2);
    let kept = server.get("/chat", &[]).json();
    assert_eq!(kept["events"].as_array().map(Vec::len), Some(2));
    let mut other = connect(&server, HONEST);
    assert_eq!(
        ask(&mut other, "POST", "/chat", b"of another").status(),
        201
    );
}

#[test]
fn a_batch_costs_as_much_as_its_events() {
    let server = server(None, few(10));
    let batch = |events: usize| {
        let kind = [("Content-Type", "application/x-ndjson")];
        server.post("/chat", &kind, "{\"data\":1}\n".repeat(events))
    };
    assert_eq!(batch(8).status(), 201);
    assert_eq!(batch(3).refusal(), "rate_limited");
    assert_eq!(batch(2).status(), 201);
    assert_waits(&batch(1), 10);
}

#[test]
fn a_batch_larger_than_the_burst_is_taken_once() {
    let server = server(None, few(10));
    let kind = [("Content-Type", "application/x-ndjson")];
    let batch = || server.post("/chat", &kind, "{\"data\":1}\n".repeat(50));
    assert_eq!(batch().status(), 201);
    let refused = batch();
    assert_eq!(refused.refusal(), "rate_limited");
    let wait: u64 = refused.head.must("Retry-After").parse().expect("seconds");
    assert!(wait > 4 * 3600, "{wait} s");
}

#[test]
fn a_websocket_that_publishes_too_fast_is_told_how_long_to_wait_and_then_closed() {
    let server = server(None, few(1));
    let mut socket = WebSocket::open(server.address, "/chat");
    socket.next_op("welcome");
    socket.operate(json!({"op": "publish", "data": 0, "ref": 0}));
    while socket.next_json()["op"] != "ack" {}
    for number in 1..=10 {
        socket.operate(json!({"op": "publish", "data": number, "ref": number}));
        let error = socket.next_op("error");
        assert_eq!(error["ref"], number);
        assert_eq!(error["code"], "rate_limited");
        assert_eq!(error["retry"], true);
        let wait = error["retry_ms"].as_u64().expect("a wait");
        assert!((3_540_000..=3_600_000).contains(&wait), "{wait} ms");
    }
    socket.operate(json!({"op": "publish", "data": 11}));
    let bye = socket.next_op("bye");
    assert_eq!(bye["code"], 1008);
    assert_eq!(socket.close_code(), Some(1008));
    let kept = server.get("/chat", &[]).json();
    assert_eq!(kept["events"].as_array().map(Vec::len), Some(1));
}

#[test]
fn whoever_does_something_else_in_between_is_not_closed() {
    let server = server(None, few(1));
    let mut socket = WebSocket::open(server.address, "/chat?after=now");
    socket.next_op("welcome");
    socket.operate(json!({"op": "publish", "channel": "other", "data": 0}));
    socket.next_op("ack");
    for _ in 0..5 {
        for _ in 0..9 {
            socket.operate(json!({"op": "publish", "data": 1}));
            socket.next_op("error");
        }
        socket.operate(json!({"op": "ping"}));
        socket.next_op("ack");
    }
}

#[test]
fn operations_on_a_websocket_count_as_requests() {
    let server = server(few(counted(4, 1)), None);
    let mut socket = WebSocket::open(server.address, "/chat");
    socket.next_op("welcome");
    for _ in 0..3 {
        socket.operate(json!({"op": "ping"}));
        socket.next_op("ack");
    }
    socket.operate(json!({"op": "subscribe", "channels": ["news"], "ref": "a"}));
    let error = socket.next_op("error");
    assert_eq!(
        (&error["code"], &error["ref"]),
        (&json!("rate_limited"), &json!("a"))
    );
}

#[test]
fn binary_messages_on_a_websocket_count_as_operations() {
    let server = server(few(counted(3, 1)), None);
    let mut socket = WebSocket::open(server.address, "/chat");
    socket.next_op("welcome");
    for code in ["unsupported_data", "unsupported_data", "rate_limited"] {
        socket.send(&Frame::new(BINARY, "x"));
        assert_eq!(socket.next_op("error")["code"], code);
    }
}

#[test]
fn whoever_only_listens_and_pings_is_answered_whatever_its_neighbours_take() {
    let server = server(few(counted(2, 2)), None);
    let open = || {
        let mut socket = WebSocket::open(server.address, "/chat");
        socket.next_op("welcome");
        socket
    };
    let (mut socket, mut neighbour) = (open(), open());
    for _ in 0..5 {
        neighbour.operate(json!({"op": "ping"}));
        assert_eq!(neighbour.next_op("error")["code"], "rate_limited");
    }
    socket.send(&Frame::new(PING, "are you there?"));
    let answer = socket.next_frame().expect("a pong");
    assert_eq!(answer, Frame::new(PONG, "are you there?"));
}

#[test]
fn pings_one_behind_the_other_count_as_operations() {
    let server = server(few(20), None);
    let mut socket = WebSocket::open(server.address, "/chat");
    socket.next_op("welcome");
    let _ = socket
        .wire
        .try_send(Frame::new(PING, "too fast").masked().repeat(1000));
    assert_eq!(socket.next_op("bye")["code"], 1008);
    assert_eq!(socket.close_code(), Some(1008));
}

#[test]
fn what_is_refused_for_something_else_does_not_excuse_what_comes_too_fast() {
    let server = server(None, few(1));
    let mut socket = WebSocket::open(server.address, "/other");
    socket.next_op("welcome");
    socket.operate(json!({"op": "publish", "channel": "chat", "data": 0}));
    socket.next_op("ack");
    for _ in 0..10 {
        socket.operate(json!({"op": "publish", "channel": "chat", "data": 1}));
        assert_eq!(socket.next_op("error")["code"], "rate_limited");
        socket.send(&Frame::new(BINARY, "x"));
        assert_eq!(socket.next_op("error")["code"], "unsupported_data");
    }
    socket.operate(json!({"op": "publish", "channel": "chat", "data": 1}));
    assert_eq!(socket.next_op("bye")["code"], 1008);
}

#[test]
fn a_raw_websocket_that_is_too_fast_is_closed() {
    let server = server(None, few(1));
    let mut socket = WebSocket::open(server.address, "/chat?format=raw");
    socket.send(&Frame::text("taken"));
    assert_eq!(socket.next_message(), Message::Text("taken".to_owned()));
    socket.send(&Frame::text("too much"));
    assert_eq!(socket.close_code(), Some(1008));
}

#[test]
fn loopback_has_no_rate_by_default() {
    let server = Fixture::start(|config| {
        config.rates.requests_per_address = few(1);
        config.rates.publishes_per_address = few(1);
        config.rates.burst = Duration::from_secs(1);
    });
    for _ in 0..20 {
        server.publish("chat", "as many as it likes");
    }
}

/// A token that nobody has signed.
const FORGED: &str = "eyJhbGciOiJIUzI1NiJ9.e30.AAAA";

/// One that verifies tokens, with thirty requests on one connection for each address.
fn server_with_tokens(mode: Mode) -> Fixture {
    let text = "[access.tokens]\nalgorithms = [\"HS256\"]\nsecret = \"at-least-thirty-two-characters-long\"";
    Fixture::start(|config| {
        config.access = Config::from_toml(text).expect("tokens").access;
        config.access.mode = mode;
        limit(config, few(counted(30, 1)), None);
    })
}

/// The status for whoever shows this.
fn show(wire: &mut Wire, shown: &str) -> u16 {
    let field = format!("Bearer {shown}");
    let fields = [("Authorization", field.as_str())];
    wire.send(request("GET", "/chat", &fields, b""));
    Response::read(wire, "GET").status()
}

#[test]
fn a_signature_that_was_verified_in_vain_counts_as_ten_requests_more() {
    for (mode, status) in [(Mode::Closed, 401), (Mode::Open, 200)] {
        let server = server_with_tokens(mode);
        let mut wire = connect(&server, GREEDY);
        for expected in [status, status, status, 429] {
            assert_eq!(show(&mut wire, FORGED), expected);
        }
    }
}

#[test]
fn what_is_refused_without_a_look_at_its_signature_counts_as_one_request() {
    let server = server_with_tokens(Mode::Closed);
    let mut wire = connect(&server, GREEDY);
    for shown in ["a.b.c", "nonsense"].repeat(15) {
        assert_eq!(show(&mut wire, shown), 401);
    }
    assert_eq!(show(&mut wire, "nonsense"), 429);
}

#[test]
fn a_signature_on_a_websocket_that_was_verified_in_vain_counts_as_ten_operations_more() {
    let server = server_with_tokens(Mode::Open);
    let mut socket = WebSocket::open(server.address, "/chat");
    socket.next_op("welcome");
    for code in ["bad_token", "bad_token", "bad_token", "rate_limited"] {
        socket.operate(json!({"op": "auth", "token": FORGED}));
        assert_eq!(socket.next_op("error")["code"], code);
    }
}

#[test]
fn a_reload_changes_rates_at_once() {
    let server = server(few(counted(1, 2)), None);
    assert_eq!(server.get("/chat", &[]).status(), 200);
    assert_eq!(server.get("/chat", &[]).status(), 429);
    server.reread_from(|| {
        let mut config = fourcast::Config::default();
        config.rates.requests_per_address = None;
        config.limits.exempt = Vec::new();
        Ok(config)
    });
    server.reread();
    server.wait_for_status("/chat", 200);
}
