//! The operator ends a connection: it is told so in its way, the others are undisturbed, and whoever may come back
//! misses nothing.

use fourcast::config::Config;

use super::{ask, connections, eventually, server};
use crate::support::{Fixture, Listener, Response, Told, Way, request};

/// The id of the one connection that the query finds, once it is there.
fn id_of(server: &Fixture, query: &str) -> u64 {
    eventually("it is seen", || connections(server, query).len() == 1);
    connections(server, query)[0]["id"].as_u64().expect("an id")
}

fn end(server: &Fixture, id: u64, query: &str) -> Response {
    ask(
        server,
        "DELETE",
        &format!("/-/connections/{id}{query}"),
        &[],
    )
}

/// What a stream was told, and the close code with which it ended.
fn farewell(listener: &mut Listener) -> (Option<u64>, Option<u64>, Option<u16>) {
    let (mut code, mut retry, mut close) = (None, None, None);
    for told in listener.rest() {
        match told {
            Told::Bye(bye) => (code, retry) = (bye["code"].as_u64(), bye["retry_ms"].as_u64()),
            Told::End(end) => close = end,
            other => panic!("goodbye was due, not {other:?}"),
        }
    }
    (code, retry, close)
}

fn is_ended_comes_back_and_misses_nothing(way: Way) {
    let name = ["http", "long-poll", "sse", "ndjson", "websocket"][way as usize];
    let server = server(|_: &mut Config| {});
    let mut other = Listener::open(Way::Sse, &server, "/other,chat");
    let mut one = Listener::open(way, &server, "/chat");
    server.publish("chat", "before");
    one.next_event();
    let id = id_of(&server, &format!("way={name}&after=1"));
    let answer = end(&server, id, "");
    assert_eq!((answer.status(), answer.body.len()), (204, 0));
    let (code, retry, close) = farewell(&mut one);
    match way {
        Way::WebSocket => assert_eq!(close, Some(1012)),
        _ => assert_eq!((code, retry.is_some()), (Some(1012), true)),
    }
    server.publish("chat", "meanwhile");
    one.reconnect(way);
    server.publish("chat", "after");
    assert_eq!(one.texts(2), ["meanwhile", "after"]);
    assert_eq!(other.texts(3), ["before", "meanwhile", "after"]);
}

#[test]
fn an_eventsource_is_ended_comes_back_and_misses_nothing() {
    is_ended_comes_back_and_misses_nothing(Way::Sse);
}

#[test]
fn a_reader_of_lines_is_ended_comes_back_and_misses_nothing() {
    is_ended_comes_back_and_misses_nothing(Way::Ndjson);
}

#[test]
fn a_websocket_is_ended_comes_back_and_misses_nothing() {
    is_ended_comes_back_and_misses_nothing(Way::WebSocket);
}

#[test]
fn a_long_poll_gets_its_answer() {
    let server = server(|_| {});
    for (query, code) in [("", "restarting"), ("?code=4403", "removed")] {
        let mut wire = server.connect();
        wire.send(request("GET", "/chat?wait=60&after=now", &[], b""));
        let id = id_of(&server, "way=long-poll");
        assert_eq!(end(&server, id, query).status(), 204);
        let answer = Response::read(&mut wire, "GET");
        assert_eq!(answer.refusal(), code);
        assert_eq!(
            answer.head.field("Retry-After").is_some(),
            code == "restarting"
        );
        eventually("it has gone", || {
            connections(&server, "way=long-poll").is_empty()
        });
    }
}

#[test]
fn a_long_poll_that_does_not_read_its_answer_is_cut() {
    let server = server(|config| config.limits.send_buffer = 8 * 1024);
    let mut wire = server.connect().with_small_receive_buffer();
    wire.send(request("GET", "/chat?wait=60&after=now", &[], b""));
    let id = id_of(&server, "way=long-poll");
    server.publish("chat", &"x".repeat(900_000));
    eventually("its answer has begun", || {
        connections(&server, "way=long-poll")[0]["sent_bytes"] != 0
    });
    assert_eq!(end(&server, id, "").status(), 204);
    eventually("it has gone", || {
        connections(&server, "way=long-poll").is_empty()
    });
}

#[test]
fn a_connection_that_waits_for_a_request_is_cut() {
    let server = server(|_| {});
    let mut wire = server.connect();
    wire.send(request("GET", "/chat", &[], b""));
    assert_eq!(Response::read(&mut wire, "GET").status(), 200);
    let id = id_of(&server, "way=http");
    assert_eq!(end(&server, id, "").status(), 204);
    wire.expect_end();
}

#[test]
fn who_is_to_stay_away_is_told_so() {
    let server = server(|_| {});
    let mut stream = Listener::open(Way::Sse, &server, "/chat");
    let mut socket = Listener::open(Way::WebSocket, &server, "/chat");
    for way in ["sse", "websocket"] {
        let id = id_of(&server, &format!("way={way}"));
        assert_eq!(end(&server, id, "?code=4403").status(), 204);
    }
    assert_eq!(farewell(&mut stream), (Some(4403), None, None));
    assert_eq!(farewell(&mut socket).2, Some(4403));
}

#[test]
fn nobody_is_ended_by_an_id_that_nobody_has_or_a_code_that_means_nothing() {
    let server = server(|_| {});
    let mut stream = Listener::open(Way::Sse, &server, "/chat");
    let id = id_of(&server, "");
    for path in [
        "/-/connections/0",
        "/-/connections/999",
        "/-/connections/x",
        "/-/connections/-1",
    ] {
        assert_eq!(
            ask(&server, "DELETE", path, &[]).refusal(),
            "not_found",
            "{path}"
        );
    }
    for query in ["?code=1000", "?code=", "?code=x"] {
        assert_eq!(
            end(&server, id, query).refusal(),
            "bad_parameter",
            "{query}"
        );
    }
    server.publish("chat", "still here");
    assert_eq!(stream.texts(1), ["still here"]);
}
