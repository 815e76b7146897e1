//! What one API key has, from wherever it is shown: from loopback, whose address is not counted.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use fourcast::Config;
use serde_json::json;

use super::counted;
use super::rates::few;
use crate::access::{BACKEND, DEVICE, rules};
use crate::support::{Fixture, Listener, Response, Way, WebSocket, deadline};

fn server(change: impl FnOnce(&mut Config)) -> Fixture {
    Fixture::start(|config| {
        config.access = Config::from_toml(&rules()).expect("rules").access;
        config.rates.burst = Duration::from_secs(3600);
        change(config);
    })
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

fn get(server: &Fixture, key: &str) -> Response {
    server.get("/rooms/42", &[("Authorization", &bearer(key))])
}

fn post(server: &Fixture, key: &str) -> Response {
    server.post("/rooms/42", &[("Authorization", &bearer(key))], "x")
}

fn stays_as_long_as_it_streams(way: Way) {
    let server = server(|config| config.limits.connections_per_subject = NonZeroUsize::new(2));
    let open = |key: &str| {
        let field = bearer(key);
        Listener::open_with(way, &server, "/rooms/42", &[("Authorization", &field)])
    };
    let device = [open(DEVICE), open(DEVICE)];
    let refused = get(&server, DEVICE);
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.refusal(), "too_many_of_one");
    assert_eq!(
        get(&server, BACKEND).status(),
        200,
        "another key has its own"
    );
    drop(device);
    // As soon as the server has seen that they are gone.
    let end = deadline();
    while get(&server, DEVICE).status() != 200 {
        assert!(Instant::now() < end, "places are given back");
    }
}

#[test]
fn an_eventsource_counts_for_its_key_as_long_as_it_lasts() {
    stays_as_long_as_it_streams(Way::Sse);
}

#[test]
fn a_reader_of_lines_counts_for_its_key_as_long_as_it_lasts() {
    stays_as_long_as_it_streams(Way::Ndjson);
}

#[test]
fn a_websocket_counts_for_its_key_as_long_as_it_lasts() {
    stays_as_long_as_it_streams(Way::WebSocket);
}

#[test]
fn requests_with_one_key_have_a_rate_and_those_with_another_have_theirs() {
    let server = server(|config| config.rates.requests_per_key = few(2));
    for key in [DEVICE, BACKEND] {
        for _ in 0..2 {
            assert_eq!(get(&server, key).status(), 200);
        }
        assert_eq!(get(&server, key).refusal(), "rate_limited");
    }
    assert_eq!(
        server.get("/public/news", &[]).status(),
        200,
        "nobody is named"
    );
}

#[test]
fn events_published_with_one_key_have_a_rate_on_every_way() {
    let server = server(|config| config.rates.publishes_per_key = few(2));
    assert_eq!(post(&server, DEVICE).status(), 201);
    let field = bearer(DEVICE);
    let fields = [("Authorization", field.as_str())];
    let mut socket = WebSocket::open_on(server.connect(), "/-/socket", &fields);
    socket.next_op("welcome");
    let publish = json!({"op": "publish", "channel": "rooms/42", "data": 1});
    socket.operate(publish.clone());
    socket.next_op("ack");
    socket.operate(publish);
    assert_eq!(socket.next_op("error")["code"], "rate_limited");
    assert_eq!(post(&server, DEVICE).refusal(), "rate_limited");
    assert_eq!(post(&server, BACKEND).status(), 201);
}

/// A guess costs what any request does, so that they cannot be tried by the thousand.
#[test]
fn whoever_tries_keys_is_slowed_down_by_address() {
    let server = server(|config| {
        config.limits.exempt = Vec::new();
        config.rates.requests_per_address = few(counted(3, 4));
    });
    for _ in 0..3 {
        assert_eq!(get(&server, "fck_wrong").status(), 401);
    }
    assert_eq!(get(&server, "fck_wrong").refusal(), "rate_limited");
}
