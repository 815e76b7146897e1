//! The operator's port: what it answers, to whom, and that none of the known attacks on the library behind
//! its gate gets there. After each, an honest operator is answered as ever.

mod attacks;
mod callers;
mod dashboard;
mod dismissal;
mod lists;
mod metrics;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use fourcast::config::{Config, JournalKind, Mode, Secret};
use fourcast::{Leaving, Server, StartError};
use serde_json::{Value, json};

use crate::support::{
    Fixture, Listener, PATIENCE, Response, Way, Wire, deadline, exchange, request,
};

const KEY: &str = "a-key-for-these-tests-alone";

/// A server with an operator's port.
fn server(change: impl FnOnce(&mut Config)) -> Fixture {
    Fixture::start(|config| {
        config.admin.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        change(config);
    })
}

/// One that wants a key.
fn keyed() -> Fixture {
    server(|config| config.admin.key = Secret::new(KEY))
}

/// For a server without a fixture.
fn on_any_port() -> Config {
    let mut config = Config {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()],
        ..Config::default()
    };
    config.journal.kind = JournalKind::Memory;
    config
}

fn ask(server: &Fixture, method: &str, target: &str, fields: &[(&str, &str)]) -> Response {
    exchange(server.admin(), method, target, fields, b"")
}

fn get(server: &Fixture, target: &str) -> Response {
    ask(server, "GET", target, &[])
}

/// The connections that the query finds.
fn connections(server: &Fixture, query: &str) -> Vec<Value> {
    let answer = get(server, &format!("/-/connections?{query}"));
    assert_eq!(answer.status(), 200, "{:?}", answer.text());
    answer.json()["connections"]
        .as_array()
        .expect("a list")
        .clone()
}

/// Looks now and then until it is so: the server, and other tests, need the cores meanwhile.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    const PACE: Duration = Duration::from_millis(10);
    let end = deadline();
    while !is_so() {
        assert!(Instant::now() < end, "{what}: not in time");
        thread::park_timeout(PACE);
    }
}

/// Fails the test unless an honest operator is answered.
fn assert_answers(server: &Fixture) {
    let answer = get(server, "/-/healthy");
    assert_eq!((answer.status(), answer.text()), (200, "ok\n"));
}

#[test]
fn it_says_that_the_server_is_well() {
    let server = server(|_| {});
    assert_answers(&server);
    let ready = get(&server, "/-/ready");
    assert_eq!((ready.status(), ready.text()), (200, "ready\n"));
    for target in ["/-/healthy", "/-/ready"] {
        let here = ask(&server, "HEAD", target, &[]);
        let there = server.send("HEAD", target, &[], b"");
        assert_eq!(here.status(), there.status());
        let length = |answer: &Response| answer.head.must("Content-Length").to_owned();
        assert_eq!(length(&here), length(&there));
        assert!(here.body.is_empty());
    }
}

#[test]
fn what_the_port_has_is_listed() {
    let server = server(|_| {});
    let list = get(&server, "/-/index");
    assert_eq!(list.status(), 200);
    for path in ["/-/healthy", "/-/ready", "/-/config"] {
        assert!(list.text().contains(path), "{}", list.text());
    }
}

#[test]
fn the_configuration_that_counts_is_shown_without_its_key() {
    let server = server(|config| {
        config.admin.key = Secret::new(KEY);
        config.access.mode = Mode::Open;
        config.hosts = vec!["events.example.com".to_owned()];
    });
    let bearer = format!("Bearer {KEY}");
    let answer = ask(&server, "GET", "/-/config", &[("Authorization", &bearer)]);
    assert_eq!(answer.status(), 200);
    assert!(!answer.text().contains(KEY), "{}", answer.text());
    assert!(answer.text().contains("key = \"********\""));
    let text = answer.text().replace("\"********\"", &format!("{KEY:?}"));
    let config = Config::from_toml(&text).expect("a configuration");
    assert_eq!(config.hosts, ["events.example.com"]);
    assert_eq!(config.admin.key, Secret::new(KEY));
}

#[test]
fn another_path_or_method_is_refused() {
    let server = server(|_| {});
    for path in ["/-/nothing", "/chat", "/-/healthy/", "/-/metrics?x"] {
        let answer = get(&server, path);
        assert_eq!(
            (answer.status(), &*answer.refusal()),
            (404, "not_found"),
            "{path}"
        );
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        let answer = ask(&server, method, "/-/ready", &[]);
        assert_eq!(answer.refusal(), "method_not_allowed", "{method}");
        assert_eq!(answer.head.must("Allow"), "GET, HEAD");
    }
}

#[test]
fn an_answer_is_for_nobody_elses_page_and_no_cache() {
    let server = server(|_| {});
    for (target, status) in [("/", 200), ("/-/nothing", 404)] {
        let answer = get(&server, target);
        assert_eq!(answer.status(), status);
        for (name, value) in [
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Connection", "close"),
        ] {
            assert_eq!(answer.head.must(name), value, "{target}");
        }
        assert_eq!(answer.head.field("Access-Control-Allow-Origin"), None);
        assert!(answer.head.field("Date").is_some());
        assert_eq!(answer.head.field("Server"), None);
    }
}

#[test]
fn it_answers_while_every_connection_of_the_data_port_is_taken() {
    let server = server(|config| config.limits.connections = 2);
    let streams = [(), ()].map(|()| Listener::open(Way::Sse, &server, "/chat"));
    assert_eq!(server.get("/chat", &[]).refusal(), "overloaded");
    assert_answers(&server);
    assert_eq!(get(&server, "/-/ready").status(), 200);
    drop(streams);
}

#[test]
fn while_the_server_stops_it_is_alive_and_not_ready() {
    let server = server(|config| config.timeouts.drain = PATIENCE);
    let admin = server.admin();
    // Half a request holds the server up.
    let mut half = server.connect();
    let bytes = request("POST", "/chat", &[("Expect", "100-continue")], b"whole");
    half.send(&bytes[..bytes.len() - 5]);
    let go_on = half.take_through(b"\r\n\r\n", deadline());
    assert!(go_on.expect("a word").starts_with(b"HTTP/1.1 100 "));
    let stopping = server.stop(Leaving::Restart);
    let end = deadline();
    loop {
        let ready = exchange(admin, "GET", "/-/ready", &[], b"");
        if ready.status() == 503 {
            assert_eq!(ready.refusal(), "restarting");
            break;
        }
        assert!(Instant::now() < end, "it is ready for ever");
        thread::yield_now();
    }
    assert_eq!(exchange(admin, "GET", "/-/healthy", &[], b"").status(), 200);
    half.send("whole");
    // Which of them is a matter of when the journal is closed.
    let status = Response::read(&mut half, "POST").status();
    assert!(matches!(status, 201 | 503), "{status}");
    drop(half);
    stopping.join().expect("it stops");
    assert!(Wire::try_connect(admin).is_err());
}

#[test]
fn an_operator_who_says_nothing_does_not_hold_up_a_stop() {
    let server = server(|_| {});
    let mut silent = Wire::connect(server.admin());
    let mut half = Wire::connect(server.admin());
    half.send("GET /-/healthy HTTP/1.1\r\nHo");
    assert_answers(&server);
    server.stop(Leaving::Away).join().expect("it stops");
    silent.expect_end();
    half.expect_end();
}

#[test]
fn a_start_that_fails_for_the_operators_port_names_its_address_and_its_key() {
    let first = server(|_| {});
    let mut config = on_any_port();
    config.admin.listen = Some(first.admin());
    let error = Server::start(config.clone()).err().expect("an error");
    assert!(matches!(error, StartError::Admin(..)), "{error}");
    let address = first.admin().to_string();
    for part in [
        &*address,
        "another program listens there",
        "'admin.listen'",
        "\"off\"",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }

    config.admin.listen = Some(SocketAddr::from(([0, 0, 0, 0], 0)));
    let error = Server::start(config).err().expect("an error");
    assert!(matches!(error, StartError::Unguarded(_)), "{error}");
    assert!(error.to_string().contains("'admin.key'"), "{error}");
}

#[test]
fn a_server_without_an_operators_port_has_none() {
    let server = Fixture::plain();
    assert_eq!(server.get("/-/config", &[]).status(), 404);
    let mut config = on_any_port();
    config.admin.listen = None;
    let started = Server::start(config);
    assert_eq!(started.expect("a server").admin_address(), None);
}

#[test]
fn an_answer_that_is_large_arrives_whole() {
    let names = (0..20_000).map(|number| format!("host-{number}.example.com"));
    let server = server(|config| {
        config.access.mode = Mode::Open;
        config.hosts = names.collect();
    });
    let answer = get(&server, "/-/config");
    let config = Config::from_toml(answer.text()).expect("a configuration");
    assert_eq!(config.hosts.len(), 20_000);
}

#[test]
fn one_connection_is_for_one_request() {
    let server = server(|_| {});
    let mut wire = Wire::connect(server.admin());
    let twice = [
        request("GET", "/-/healthy", &[], b""),
        request("GET", "/-/config", &[], b""),
    ];
    wire.send(twice.concat());
    assert_eq!(Response::read(&mut wire, "GET").text(), "ok\n");
    wire.expect_end();
}

#[test]
fn a_refusal_is_a_problem_as_everywhere() {
    let answer = get(&server(|_| {}), "/-/nothing");
    let detail = "nothing is served here; GET /-/index lists what there is";
    assert_eq!(
        answer.json(),
        json!({"type": "about:blank", "title": "Nothing here", "status": 404, "detail": detail,
               "code": "not_found", "retry": false})
    );
}
