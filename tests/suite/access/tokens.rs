//! Tokens on every way: what they let in, what their end does, and how an open WebSocket renews them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use super::*;
use crate::support::http::request;

pub(crate) const SECRET: &str = "a-secret-of-the-suite-32-and-more";
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
/// Long enough to come in with, on a machine that is busy.
pub(crate) const SHORT: Duration = Duration::from_secs(3);

/// The time after so long.
pub(crate) fn after(length: Duration) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    (now.expect("a clock") + length).as_secs_f64()
}

/// A token of `subject` that lasts so long, with these rights.
fn token(subject: &str, lasts: Duration, rights: Value) -> String {
    signed(&json!({"sub": subject, "exp": after(lasts), "fourcast": rights}))
}

fn signed(claims: &Value) -> String {
    signed_as(r#"{"alg":"HS256"}"#, &claims.to_string(), SECRET.as_bytes())
}

/// A token with this header and these claims, whatever they are, signed by HS256 with `secret`.
pub(crate) fn signed_as(header: &str, claims: &str, secret: &[u8]) -> String {
    let message = [header, claims]
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .join(".");
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
    format!("{message}.{signature}")
}

/// A token that may read and publish in rooms.
fn of_rooms(subject: &str, lasts: Duration) -> String {
    let rights = json!({"subscribe": ["rooms/*"], "publish": ["rooms/*"]});
    token(subject, lasts, rights)
}

/// A server that takes tokens, without any leeway, beside its keys.
fn with_tokens() -> Fixture {
    let tokens = format!(
        "[access.tokens]\nalgorithms = [\"HS256\"]\nsecret = \"{SECRET}\"\nleeway = \"0s\"\ncookie = \"session\"\n"
    );
    Fixture::start(|config| {
        access(config, &(rules() + &tokens));
        config.admin.listen = Some(([127, 0, 0, 1], 0).into());
    })
}

on_every_way! {
    a_token_reads_what_it_says_and_what_everyone_may;
    a_cookie_brings_it_too;
    one_whose_time_is_over_is_told_apart;
}

fn a_token_reads_what_it_says_and_what_everyone_may(way: Way) {
    let server = with_tokens();
    let ana = of_rooms("ana", HOUR);
    let target = format!("/rooms/*,public/news?after=now&access_token={ana}");
    let mut listener = Listener::open(way, &server, &target);
    publish(&server, "rooms/7", "a");
    publish(&server, "alerts", "not this");
    publish(&server, "public/news", "b");
    assert_eq!(listener.texts(2), ["a", "b"]);
    let answer = refused(&server, way, "/rooms/**", Some(&ana));
    assert_eq!(
        (answer.status(), answer.refusal()),
        (403, "forbidden".to_owned())
    );
    let nothing = token("ana", HOUR, json!({}));
    assert_eq!(
        refused(&server, way, "/rooms/7", Some(&nothing)).status(),
        403
    );
}

fn a_cookie_brings_it_too(way: Way) {
    let server = with_tokens();
    let cookie = |name: &str, target: &str| {
        let ana = of_rooms("ana", HOUR);
        server.ask(way, target, &[("Cookie", &format!("x=1; {name}={ana}"))])
    };
    assert_eq!(cookie("session", "/alerts").refusal(), "forbidden");
    assert_eq!(cookie("other", "/alerts").refusal(), "unauthorized");
}

fn one_whose_time_is_over_is_told_apart(way: Way) {
    let server = with_tokens();
    let rights = json!({"subscribe": ["**"]});
    let past = after(Duration::ZERO) - 60.0;
    let late = signed(&json!({"sub": "ana", "exp": past, "fourcast": rights}));
    let answer = refused(&server, way, "/rooms/7", Some(&late));
    assert_eq!(
        (answer.status(), answer.refusal()),
        (401, "token_expired".to_owned())
    );
    assert_eq!(answer.json()["retry"], true, "with a fresh one");
    assert_eq!(
        answer.head.must("WWW-Authenticate"),
        "Bearer error=\"invalid_token\""
    );
}

fn a_stream_ends_with_its_token(way: Way) {
    let server = with_tokens();
    let short = of_rooms("ana", SHORT);
    let target = format!("/rooms/7?access_token={short}");
    let mut ana = Listener::open(way, &server, &target);
    let (bye, late) = heard_until_its_goodbye(&mut ana, &server);
    assert_eq!(bye["code"], 4401);
    assert!(bye["retry_ms"].as_u64() > Some(0), "{bye}");
    publish(&server, "rooms/7", "later");
    let rest = ana.rest();
    assert!(matches!(rest[..], [Told::End(_)]), "{rest:?}");
    assert_eq!(server.ask(way, &target, &[]).refusal(), "token_expired");
    let fresh = of_rooms("ana", HOUR);
    let target = format!("/rooms/7?after={}&access_token={fresh}", ana.cursor());
    let mut ana = Listener::open(way, &server, &target);
    assert_eq!(ana.texts(2), [late, "later".to_owned()]);
}

/// Publishes one event after the other until one is answered by a goodbye; with that one.
fn heard_until_its_goodbye(listener: &mut Listener, server: &Fixture) -> (Value, String) {
    let field = bearer(BACKEND);
    let mut publisher = server.connect();
    let mut number = 0;
    loop {
        let text = number.to_string();
        let fields = [("Authorization", field.as_str())];
        publisher.send(request("POST", "/rooms/7", &fields, text.as_bytes()));
        assert_eq!(Response::read(&mut publisher, "POST").status(), 201);
        match listener.next() {
            Told::Event(event) => assert_eq!(event.text(), text),
            Told::Bye(bye) => return (bye, text),
            other => panic!("{other:?}"),
        }
        number += 1;
    }
}

#[test]
fn an_sse_stream_ends_with_its_token() {
    a_stream_ends_with_its_token(Way::Sse);
}

#[test]
fn an_ndjson_stream_ends_with_its_token() {
    a_stream_ends_with_its_token(Way::Ndjson);
}

#[test]
fn a_websocket_ends_with_its_token() {
    a_stream_ends_with_its_token(Way::WebSocket);
}

#[test]
fn a_long_poll_is_answered_when_its_token_ends() {
    let server = with_tokens();
    let target = format!(
        "/rooms/7?after=now&wait=60&access_token={}",
        of_rooms("ana", SHORT)
    );
    let answer = server.get(&target, &[]);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json()["events"], json!([]));
    let answer = server.get(&target, &[]);
    assert_eq!(answer.refusal(), "token_expired");
}

#[test]
fn an_open_socket_goes_on_with_a_fresh_token() {
    let server = with_tokens();
    let target = format!("/rooms/7?access_token={}", of_rooms("ana", SHORT));
    let open = || {
        let mut socket = WebSocket::open(server.address, &target);
        socket.next_op("welcome");
        socket
    };
    let (mut renewed, mut other) = (open(), open());
    let until = after(HOUR).floor();
    let claims = json!({"sub": "ana", "exp": until, "fourcast": {"subscribe": ["rooms/*"]}});
    renewed.operate(json!({"op": "auth", "token": signed(&claims), "ref": "r"}));
    let ack = renewed.next_op("ack");
    assert_eq!(ack["expires"].as_f64(), Some(until * 1000.0), "{ack}");
    assert_eq!(ack["ref"], "r");
    // It had the same token.
    assert_eq!(other.close_code(), Some(4401));
    publish(&server, "rooms/7", "late");
    assert_eq!(renewed.next_json()["data"], "late");
    let publish = json!({"op": "publish", "channel": "rooms/7", "data": 1});
    assert_eq!(
        error(&mut renewed, publish),
        "forbidden",
        "the fresh one counts"
    );
}

#[test]
fn a_fresh_token_of_fewer_channels_takes_the_others_away() {
    let server = with_tokens();
    let ana = of_rooms("ana", HOUR);
    let target = format!("/rooms/1,rooms/2,public/news,rooms/*?access_token={ana}");
    let mut socket = WebSocket::open(server.address, &target);
    socket.next_op("welcome");
    let fewer = token("ana", HOUR, json!({"subscribe": ["rooms/1"]}));
    socket.operate(json!({"op": "auth", "token": fewer, "ref": 1}));
    for channel in ["rooms/2", "rooms/*"] {
        let told = socket.next_op("error");
        assert_eq!(
            (&told["channel"], &told["code"]),
            (&json!(channel), &json!("forbidden"))
        );
        assert!(told.get("ref").is_none(), "{told}");
    }
    assert_eq!(socket.next_op("ack")["ref"], 1);
    publish(&server, "rooms/2", "not any more");
    publish(&server, "rooms/1", "a");
    publish(&server, "public/news", "b");
    assert_eq!(socket.next_json()["data"], "a");
    assert_eq!(socket.next_json()["data"], "b");
}

#[test]
fn a_token_of_somebody_else_changes_nothing() {
    let server = with_tokens();
    let target = format!("/rooms/7?access_token={}", of_rooms("ana", HOUR));
    let mut socket = WebSocket::open(server.address, &target);
    socket.next_op("welcome");
    let auth = |token: &str| json!({"op": "auth", "token": token});
    let everything = token("bob", HOUR, json!({"subscribe": ["**"], "publish": ["**"]}));
    assert_eq!(error(&mut socket, auth(&everything)), "forbidden");
    assert_eq!(error(&mut socket, auth(BACKEND)), "forbidden");
    let past = signed(&json!({"sub": "ana", "exp": 1}));
    assert_eq!(error(&mut socket, auth(&past)), "token_expired");
    let publish = |channel: &str| json!({"op": "publish", "channel": channel, "data": 1});
    assert_eq!(error(&mut socket, publish("alerts")), "forbidden");
    socket.operate(publish("rooms/9"));
    socket.next_op("ack");
}

#[test]
fn an_idempotency_key_is_of_its_subject() {
    let server = with_tokens();
    let post = |subject: &str| {
        let field = bearer(&of_rooms(subject, HOUR));
        let fields = [("Authorization", field.as_str()), ("Idempotency-Key", "k1")];
        server.publish_as("/rooms/7", &fields, "same")
    };
    let [ana, again, bob] = ["ana", "ana", "bob"].map(post);
    assert_eq!(ana, again, "another token, the same subject");
    assert_ne!(ana, bob);
}

#[test]
fn the_operator_sees_the_subject_and_never_the_token() {
    let server = with_tokens();
    let ana = of_rooms("ana", HOUR);
    let _stream = Listener::open(Way::Sse, &server, &format!("/rooms/7?access_token={ana}"));
    let seen = crate::support::http::exchange(server.admin(), "GET", "/-/connections", &[], b"");
    assert!(!seen.text().contains(&ana), "{}", seen.text());
    assert_eq!(seen.json()["connections"][0]["subject"], "ana");
}

#[test]
fn a_reload_whose_file_of_keys_cannot_be_used_is_refused_as_a_whole() {
    let server = with_tokens();
    server.reread_from(|| {
        let mut config = Config::default();
        let tokens =
            "[access.tokens]\nalgorithms = [\"HS256\"]\nsecret_file = \"/nowhere/secret\"\n";
        access(&mut config, &(rules() + tokens));
        Ok(config)
    });
    let answer = crate::support::http::exchange(server.admin(), "POST", "/-/reload", &[], b"");
    assert_eq!(answer.refusal(), "bad_config");
    assert!(
        answer.text().contains("/nowhere/secret"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_token_that_ends_while_a_body_comes_does_nothing_any_more() {
    let server = with_tokens();
    let target = format!("/rooms/7?access_token={}", of_rooms("ana", SHORT));
    let body = [("Expect", "100-continue"), ("Content-Length", "1")];
    let mut wires = ["POST", "GET"].map(|method| {
        let mut wire = server.connect();
        wire.send(crate::support::http::request(method, &target, &body, b""));
        let interim = crate::support::http::Head::read(&mut wire, crate::support::wire::deadline());
        assert_eq!(interim.expect("a head").status, 100);
        (method, wire)
    });
    let mut stream = Listener::open(Way::Sse, &server, &target);
    stream.rest();
    for (method, wire) in &mut wires {
        wire.send("x");
        let answer = Response::read(wire, method);
        assert_eq!(answer.refusal(), "token_expired", "{method}");
    }
}
