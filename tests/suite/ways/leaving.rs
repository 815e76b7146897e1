//! What each way is told when a server stops, has no room, or refuses.

use std::time::{Duration, Instant};

use fourcast::Leaving;
use fourcast::config::Mode;
use serde_json::Value;

use super::on_every_way;
use crate::support::sse::EventSource;
use crate::support::{Fixture, Listener, PATIENCE, Told, Way, WebSocket, deadline, request};

on_every_way! {
    a_server_that_restarts_says_goodbye;
    a_server_that_leaves_says_goodbye;
    what_was_published_before_the_stop_still_arrives;
    beyond_the_connections_the_refusal_arrives;
    a_place_that_is_left_is_free_again;
    a_foreign_origin_is_refused;
    an_allowed_origin_is_told_so;
    an_origin_below_a_star_is_let_in;
    what_only_looks_like_an_origin_below_a_star_is_refused;
    a_foreign_host_is_refused;
    what_is_no_channel_is_refused;
    what_is_not_there_is_refused;
    too_many_selectors_are_refused;
}

const RETRY: Duration = Duration::from_secs(2);

fn leave(way: Way, leaving: Leaving, code: u16) {
    let server = Fixture::start(|config| config.timeouts.retry = RETRY);
    let mut listener = Listener::open(way, &server, "/chat?after=now");
    server.publish("chat", "before");
    assert_eq!(listener.texts(1), ["before"]);
    let begun = Instant::now();
    let stopped = server.stop(leaving);
    let rest = listener.rest();
    if way.is_stream() {
        let [Told::Bye(bye), Told::End(end)] = &rest[..] else {
            panic!("a goodbye and an end were due, not {rest:?}");
        };
        assert_hint(bye, code);
        assert_eq!(*end, (way == Way::WebSocket).then_some(code));
    } else {
        assert!(matches!(rest[..], [Told::End(None)]), "{rest:?}");
    }
    drop(listener);
    stopped.join().expect("the server stops");
    assert!(begun.elapsed() < PATIENCE, "within its drain time");
}

fn assert_hint(bye: &Value, code: u16) {
    assert_eq!(bye["code"], code, "{bye}");
    let retry = Duration::from_millis(bye["retry_ms"].as_u64().expect("milliseconds"));
    assert!(retry >= RETRY / 2 && retry <= RETRY * 3 / 2, "{bye}");
}

fn a_server_that_restarts_says_goodbye(way: Way) {
    leave(way, Leaving::Restart, 1012);
}

fn a_server_that_leaves_says_goodbye(way: Way) {
    leave(way, Leaving::Away, 1001);
}

#[test]
fn the_goodbyes_of_many_tell_different_times() {
    let server = Fixture::start(|config| config.timeouts.retry = RETRY);
    let mut listeners: Vec<Listener> = (0..8)
        .map(|_| Listener::open(Way::Sse, &server, "/chat"))
        .collect();
    let stopped = server.stop(Leaving::Restart);
    let mut hints: Vec<u64> = Vec::new();
    for listener in &mut listeners {
        let Told::Bye(bye) = listener.next() else {
            panic!("a goodbye was due");
        };
        assert_hint(&bye, 1012);
        hints.push(bye["retry_ms"].as_u64().expect("milliseconds"));
    }
    hints.sort_unstable();
    hints.dedup();
    assert!(hints.len() > 1, "all would come back at once: {hints:?}");
    stopped.join().expect("the server stops");
}

#[test]
fn a_stop_gives_an_eventsource_its_retry_and_a_whole_end() {
    let server = Fixture::start(|config| config.timeouts.retry = RETRY);
    let mut source = EventSource::open(
        server.connect(),
        &request("GET", "/chat", &Way::Sse.fields(), b""),
    );
    assert_eq!(source.next_message().expect("a welcome").kind, "welcome");
    let stopped = server.stop(Leaving::Restart);
    let bye = source.next_message().expect("a goodbye");
    assert_eq!(bye.kind, "bye");
    let hint: Value = serde_json::from_str(&bye.data).expect("JSON");
    assert_eq!(hint["retry_ms"].as_u64(), source.retry, "both say the same");
    assert_eq!(source.next_chunk(), None, "the last chunk");
    stopped.join().expect("the server stops");
}

#[test]
fn a_long_poll_that_waits_gets_its_empty_answer_at_a_stop() {
    let server = Fixture::plain();
    let cursor = server.publish("chat", "seen");
    let mut wire = server.connect();
    let target = format!("/chat?after={cursor}&wait=30");
    wire.send(request("GET", &target, &[], b""));
    // The same connection's second answer shows that the first request was taken.
    let mut probe = Listener::open(Way::LongPoll, &server, &format!("/probe?after={cursor}"));
    server.publish("probe", "the server reads");
    assert_eq!(probe.texts(1), ["the server reads"]);
    let stopped = server.stop(Leaving::Restart);
    let answer = crate::support::Response::read(&mut wire, "GET");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json()["events"], serde_json::json!([]));
    assert!(answer.json()["cursor"].is_string());
    wire.expect_end();
    stopped.join().expect("the server stops");
}

#[test]
fn a_stop_ends_in_time_though_nobody_answers() {
    let server = Fixture::start(|config| {
        config.timeouts.drain = Duration::from_secs(1);
        config.timeouts.close = Duration::from_millis(300);
    });
    let mut silent = WebSocket::open(server.address, "/chat");
    silent.next_op("welcome");
    let mut half = server.connect();
    half.send("GET /chat HT");
    let begun = Instant::now();
    server
        .stop(Leaving::Restart)
        .join()
        .expect("the server stops");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_dropped_server_stops() {
    let server = Fixture::plain();
    let address = server.address;
    let mut listener = Listener::open(Way::WebSocket, &server, "/chat");
    drop(server);
    assert!(matches!(listener.rest().pop(), Some(Told::End(_))));
    let end = deadline();
    while std::net::TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < end, "it still listens");
    }
}

fn what_was_published_before_the_stop_still_arrives(way: Way) {
    let server = Fixture::plain();
    let mut listener = Listener::open(way, &server, "/chat?after=now");
    server.publish_all("chat", &["1", "2", "3"]);
    if way == Way::Poll {
        assert_eq!(listener.texts(3), ["1", "2", "3"]);
        return;
    }
    let stopped = server.stop(Leaving::Restart);
    let mut texts = Vec::new();
    for told in listener.rest() {
        if let Told::Event(event) = told {
            texts.push(event.text());
        }
    }
    // A long poll may be left with its first answer; what it lacks its cursor brings later.
    let whole = if way == Way::LongPoll { texts.len() } else { 3 };
    assert_eq!(texts, ["1", "2", "3"][..whole]);
    stopped.join().expect("the server stops");
}

fn beyond_the_connections_the_refusal_arrives(way: Way) {
    let server = Fixture::start(|config| {
        config.limits.connections = 2;
        config.timeouts.retry = RETRY;
    });
    let _held = [
        Listener::open(Way::Sse, &server, "/chat"),
        Listener::open(Way::WebSocket, &server, "/chat"),
    ];
    if way == Way::Sse {
        // A status other than 200 would stop a browser's EventSource for good.
        let bytes = request("GET", "/chat", &way.fields(), b"");
        let mut source = EventSource::open(server.connect(), &bytes);
        assert_eq!(source.head.must("Content-Type"), "text/event-stream");
        while source.next_item().is_some() {}
        let retry = Duration::from_millis(source.retry.expect("a retry"));
        assert!(retry >= RETRY / 2 && retry <= RETRY * 3 / 2, "{retry:?}");
        return;
    }
    let answer = server.ask(way, "/chat", &[]);
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.refusal(), "overloaded");
    assert_eq!(answer.json()["retry"], true);
    let seconds: u64 = answer.head.must("Retry-After").parse().expect("seconds");
    assert!(seconds >= 1);
}

fn a_place_that_is_left_is_free_again(way: Way) {
    let server = Fixture::start(|config| config.limits.connections = 1);
    let mut listener = Listener::open(way, &server, "/chat?after=now");
    let refused = server.wait_for_status("/chat", 503);
    assert_eq!(refused.refusal(), "overloaded");
    listener.hang_up();
    server.wait_for_status("/chat", 200);
}

fn a_foreign_origin_is_refused(way: Way) {
    let server = Fixture::start(|config| config.origins = vec!["https://app.example.com".into()]);
    for origin in [
        "https://evil.example",
        "null",
        "http://app.example.com",
        "https://app.example.com.evil.example",
        "https://app.example.com:8443",
        "http://localhost.evil.example",
        "file://",
        "garbage",
    ] {
        let answer = server.ask(way, "/chat", &[("Origin", origin)]);
        assert_eq!(answer.status(), 403, "{origin}");
        assert_eq!(answer.refusal(), "forbidden_origin", "{origin}");
        assert_eq!(
            server.post("/chat", &[("Origin", origin)], "x").status(),
            403
        );
    }
    server.publish("chat", "nothing came before");
    let mut listener = Listener::open(way, &server, "/chat?after=earliest");
    assert_eq!(listener.texts(1), ["nothing came before"]);
}

fn an_allowed_origin_is_told_so(way: Way) {
    let server = Fixture::start(|config| config.origins = vec!["https://app.example.com".into()]);
    let own = format!("http://{}", server.address);
    for origin in [
        "https://app.example.com",
        "http://localhost:9000",
        "http://127.0.0.1:3000",
        own.as_str(),
    ] {
        let fields = [("Origin", origin)];
        let listener = Listener::open_with(way, &server, "/chat?after=now", &fields);
        if way != Way::WebSocket && way.is_stream() {
            let head = listener.head.as_ref().expect("a head");
            assert_allows(head.must("Access-Control-Allow-Origin"), origin);
        }
        let refused = server.ask(way, "/a//b", &fields);
        assert_eq!(refused.status(), 400);
        assert_allows(refused.head.must("Access-Control-Allow-Origin"), origin);
    }
}

fn starred() -> Fixture {
    let origins = ["https://*.example.com", "http://*.example.com:8080"];
    Fixture::start(|config| config.origins = origins.map(str::to_owned).to_vec())
}

fn an_origin_below_a_star_is_let_in(way: Way) {
    let server = starred();
    for origin in [
        "https://app.example.com",
        "https://a.b.c.example.com",
        "https://xn--bcher-kva.example.com",
        "http://app.example.com:8080",
    ] {
        let fields = [("Origin", origin)];
        Listener::open_with(way, &server, "/chat?after=now", &fields);
        let refused = server.ask(way, "/a//b", &fields);
        assert_eq!(refused.head.must("Access-Control-Allow-Origin"), origin);
        let credentials = refused.head.must("Access-Control-Allow-Credentials");
        assert_eq!(credentials, "true", "a star lists what is below it");
        assert_eq!(server.post("/chat", &fields, "x").status(), 201);
    }
}

fn what_only_looks_like_an_origin_below_a_star_is_refused(way: Way) {
    let server = starred();
    for origin in [
        "https://example.com",
        "https://.example.com",
        "https://a..example.com",
        "https://evilexample.com",
        "https://example.com.evil.test",
        "https://a.example.com.evil.test",
        "https://a.example.com:444",
        "https://a.example.com:443",
        "https://a.example.com:8080",
        "http://a.example.com",
        "http://a.example.com:80",
        "wss://a.example.com",
        "https://evil.test/.example.com",
        "https://evil.test:80.example.com",
        "https://evil.test@a.example.com",
        "https://evil.test#.example.com",
        "https://evil.test?.example.com",
        "https://evil.test%2f.example.com",
        "https://*.example.com",
        "https://A.EXAMPLE.COM",
        "https://a.example.com.",
        "https://a.example.com, https://b.example.com",
        "https://b.example.com https://a.example.com",
    ] {
        let fields = [("Origin", origin)];
        for answer in [
            server.ask(way, "/chat", &fields),
            server.post("/chat", &fields, "x"),
            server.send("PUT", "/chat", &fields, b"x"),
            server.send("DELETE", "/chat", &fields, b""),
            server.post("/-/publish", &fields, "{}"),
        ] {
            assert_eq!(answer.refusal(), "forbidden_origin", "{origin}");
            assert_eq!(answer.status(), 403, "{origin}");
            for field in [
                "Access-Control-Allow-Origin",
                "Access-Control-Allow-Credentials",
            ] {
                assert_eq!(answer.head.field(field), None, "{origin}");
            }
        }
    }
    server.publish("chat", "nothing came before");
    let mut listener = Listener::open(way, &server, "/chat?after=earliest");
    assert_eq!(listener.texts(1), ["nothing came before"]);
}

fn assert_allows(allowed: &str, origin: &str) {
    assert!(
        allowed == origin || allowed == "*",
        "{allowed} is not {origin}"
    );
}

fn a_foreign_host_is_refused(way: Way) {
    let server = Fixture::start(|config| {
        config.access.mode = Mode::Open;
        config.hosts = vec!["events.example.com".into()];
    });
    for host in [
        "evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "127.0.0.1.evil.example:80",
    ] {
        let answer = server.ask(way, "/chat", &[("Host", host)]);
        assert_eq!(answer.status(), 421, "{host}");
        assert_eq!(answer.refusal(), "misdirected", "{host}");
    }
    let own = server.address.to_string();
    for host in [
        "localhost",
        "localhost:8080",
        "127.0.0.1",
        "[::1]",
        "EVENTS.example.com:443",
        &own,
    ] {
        Listener::open_with(way, &server, "/chat?after=now", &[("Host", host)]);
    }
}

fn what_is_no_channel_is_refused(way: Way) {
    let server = Fixture::plain();
    let long = format!("/{}", "x".repeat(256));
    let deep = format!("/{}", ["a"; 9].join("/"));
    for target in [
        "/a//b", "/a/", "/a/../b", "/a/./b", "/a%2Fb", "/a%2cb", "/%2A", "/a%20b", "/a%00b",
        "/a%0Ab", "/%zz", "/a%", "/,", "/a,,b", "/a*", "/**/a", "/a/***", "/%FF", "/a,/b", &long,
        &deep,
    ] {
        let answer = server.ask(way, target, &[]);
        assert_eq!(answer.status(), 400, "{target}");
        assert_eq!(answer.refusal(), "bad_channel", "{target}");
    }
    Listener::open(way, &server, "/%61-z~:@_.9/b?after=now");
}

fn what_is_not_there_is_refused(way: Way) {
    let server = Fixture::plain();
    for target in ["/-/nothing", "/-", "/-/"] {
        let answer = server.ask(way, target, &[]);
        assert_eq!(answer.status(), 404, "{target}");
        assert_eq!(answer.refusal(), "not_found", "{target}");
    }
}

fn too_many_selectors_are_refused(way: Way) {
    let server = Fixture::start(|config| config.limits.subscriptions = 3);
    Listener::open(way, &server, "/a,b,c?after=now");
    let answer = server.ask(way, "/a,b,c,d", &[]);
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.refusal(), "too_many_subscriptions");
}
